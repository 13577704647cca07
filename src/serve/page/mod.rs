//! The page at `/`: what the service does, for people. Rendered here, with nothing from elsewhere; without JavaScript it shows the same
//! after a reload.
//!
//! | file | what is in it |
//! |---|---|
//! | `routes.rs` | the addresses: what is shown, what forms do |
//! | `live.rs` | what has changed, to those who look |
//! | `shown.rs`, `view.rs`, `words.rs` | what there is to show, and how it reads |
//! | `document.rs`, `templates.rs`, `templates/` | how it looks |
//! | `forms.rs`, `fields.rs` | forms, what was sent with them, what is wrong with it |
//! | `guard.rs`, `session.rs` | what keeps other pages out; who is signed in |

mod document;
mod fields;
mod forms;
mod guard;
mod live;
mod routes;
#[cfg(test)]
mod routes_tests;
mod session;
mod shown;
mod templates;
#[cfg(test)]
mod tests;
mod view;
mod words;

pub use routes::router;

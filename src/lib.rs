//! kscen

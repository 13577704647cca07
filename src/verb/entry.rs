//! What a verb is, and how the registry holds it.

use super::{CheckContext, Facts, Scope, StepError, StepOutcome};
use crate::environment::{Grant, Needs};
use crate::record::metric::Work;
use crate::verb::StepContext;
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Whether the body of a verb holds steps, which are planned and interpolated on their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// It does something itself.
    None,
    /// Lists of steps that run beside each other.
    Branches,
    /// A fragment from another file.
    Fragment,
}

/// A verb of the language. Its type's doc comment is its reference page, its fields' doc comments describe the fields.
pub trait Step: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The key in a scenario file.
    const VERB: &'static str;
    /// A step that uses it, as YAML: shown by `kscen steps VERB`, and checked against the schema by a test.
    const EXAMPLE: &'static str;
    /// What its steps may change, at most: an environment has to grant it. There is no default, so that nobody forgets it; `&[]` for
    /// a verb that changes nothing.
    const MAY: &'static [Grant];
    /// Whether it may run in the background.
    const BACKGROUND: bool = false;
    /// Whether `retry` makes sense.
    const RETRY: bool = true;
    /// Whether the run goes on by default when it fails.
    const CONTINUES: bool = false;
    /// Whether it asks something of the system that the system can refuse, so that `expect_failure` makes sense.
    const REFUSABLE: bool = true;
    /// What its steps do, as far as others have to know; its metrics follow from it.
    const WORK: Work = Work::Other;
    /// Whether its body holds steps.
    const NESTING: Nesting = Nesting::None;

    /// Rewrites short forms (`wait: 5s`) into the one that is decoded.
    fn normalise(body: Value) -> Value {
        body
    }

    /// The JSON schema of the short form, for whatever is not a map; `None` where there is none or the type's own schema has it.
    fn short() -> Option<Value> {
        None
    }

    /// What it needs of the environment.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// What this step changes, of [`Step::MAY`]: all of it where a verb does not say more exactly. The `scope` tells what the
    /// scenario makes itself.
    fn changes(&self, scope: &Scope) -> Vec<Grant> {
        let _ = scope;
        Self::MAY.to_vec()
    }

    /// What other steps may rely on.
    fn facts(&self) -> Facts {
        Facts::default()
    }

    /// Checks that the types cannot express; purely, without touching anything.
    fn check(&self, cx: &mut CheckContext<'_>) {
        let _ = cx;
    }

    /// One line that says what it will do, as a lowercase phrase: `produce 1,000 messages to orders at 100/s`.
    fn describe(&self) -> String;

    /// Does it.
    ///
    /// # Errors
    /// Says what failed, whether that is a failed check or a run that cannot go on, and where in the file.
    fn run(&self, cx: &mut StepContext) -> impl Future<Output = Result<StepOutcome, StepError>> + Send;
}

/// A [`Step`] whose type is erased.
pub trait AnyStep: Send + Sync {
    /// See [`Step::needs`].
    fn needs(&self) -> Needs;
    /// See [`Step::changes`].
    fn changes(&self, scope: &Scope) -> Vec<Grant>;
    /// See [`Step::facts`].
    fn facts(&self) -> Facts;
    /// See [`Step::check`].
    fn check(&self, cx: &mut CheckContext<'_>);
    /// See [`Step::describe`].
    fn describe(&self) -> String;
    /// See [`Step::run`].
    fn run<'a>(&'a self, cx: &'a mut StepContext) -> BoxFuture<'a, Result<StepOutcome, StepError>>;
}

impl<T: Step> AnyStep for T {
    fn needs(&self) -> Needs {
        Step::needs(self)
    }

    fn changes(&self, scope: &Scope) -> Vec<Grant> {
        Step::changes(self, scope)
    }

    fn facts(&self) -> Facts {
        Step::facts(self)
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        Step::check(self, cx);
    }

    fn describe(&self) -> String {
        Step::describe(self)
    }

    fn run<'a>(&'a self, cx: &'a mut StepContext) -> BoxFuture<'a, Result<StepOutcome, StepError>> {
        Box::pin(Step::run(self, cx))
    }
}

/// Why a step's body could not be decoded.
#[derive(Debug)]
pub struct DecodeError {
    /// JSON pointer within the body.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

/// A verb in the registry.
pub struct VerbEntry {
    /// The key in a scenario file.
    pub verb: &'static str,
    /// An example as YAML.
    pub example: &'static str,
    /// What its steps may change.
    pub may: &'static [Grant],
    /// Whether it may run in the background.
    pub background: bool,
    /// Whether `retry` makes sense.
    pub retry: bool,
    /// Whether the run goes on by default when it fails.
    pub continues: bool,
    /// Whether `expect_failure` makes sense.
    pub refusable: bool,
    /// What its steps do.
    pub work: Work,
    /// Whether its body holds steps.
    pub nesting: Nesting,
    /// Its schema, with the reference as descriptions.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Rewrites short forms.
    pub normalise: fn(Value) -> Value,
    /// Decodes a normalised, interpolated body.
    pub decode: fn(Value) -> Result<Box<dyn AnyStep>, DecodeError>,
}

/// The registry entry of a verb.
pub const fn entry<T: Step>() -> VerbEntry {
    VerbEntry {
        verb: T::VERB,
        example: T::EXAMPLE,
        may: T::MAY,
        background: T::BACKGROUND,
        retry: T::RETRY,
        continues: T::CONTINUES,
        refusable: T::REFUSABLE,
        work: T::WORK,
        nesting: T::NESTING,
        schema: schema::<T>,
        normalise: T::normalise,
        decode: decode::<T>,
    }
}

fn schema<T: Step>(generator: &mut SchemaGenerator) -> Schema {
    let long = T::json_schema(generator);
    let Some(short) = T::short() else { return long };
    let mut long = long.to_value();
    let description = long.as_object_mut().and_then(|long| long.remove("description"));
    // One branch or the other, chosen by the type alone: anyOf would report the problems of both.
    let mut both = json_schema!({ "if": { "type": "object" }, "then": long, "else": short });
    if let Some(description) = description {
        both.insert("description".to_owned(), description);
    }
    both
}

fn decode<T: Step>(body: Value) -> Result<Box<dyn AnyStep>, DecodeError> {
    match serde_path_to_error::deserialize::<_, T>(body) {
        Ok(step) => Ok(Box::new(step)),
        Err(error) => Err(DecodeError { pointer: pointer(error.path()), message: error.inner().to_string() }),
    }
}

/// A path of serde as a JSON pointer.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                Some(format!("/{}", key.replace('~', "~0").replace('/', "~1")))
            }
            Segment::Unknown => None,
        })
        .collect()
}

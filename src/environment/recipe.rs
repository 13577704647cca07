//! How to undo a fault without the run that applied it, as data: written down before the fault.

use super::{EnvironmentError, EnvironmentResult, Kind, kinds};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

/// What undoes a fault, in the words of the kind of environment that it is on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recipe {
    /// The kind's name.
    kind: String,
    /// What only the kind understands.
    recipe: Value,
}

/// The kind whose recipes stood in journals before they named their kind.
const UNNAMED: &str = "docker";

impl Recipe {
    /// A recipe of that kind.
    ///
    /// # Errors
    /// A recipe that is not plain data.
    pub fn of<K: Kind>(recipe: &impl Serialize) -> EnvironmentResult<Self> {
        let recipe = serde_json::to_value(recipe)
            .map_err(|error| EnvironmentError::caused("the recipe to undo it cannot be written", error))?;
        Ok(Self { kind: K::NAME.to_owned(), recipe })
    }

    /// What [`Recipe::of`] made plain data of.
    ///
    /// # Errors
    /// It is of another form.
    pub(super) fn read<T: DeserializeOwned>(recipe: Value) -> EnvironmentResult<T> {
        serde_json::from_value(recipe)
            .map_err(|error| EnvironmentError::caused("the recipe to undo it cannot be read", error))
    }

    /// Undoes the fault; returns what was done, in words. It may be repeated.
    ///
    /// # Errors
    /// It cannot be undone now, or this version does not know its kind.
    pub async fn heal(&self) -> EnvironmentResult<String> {
        let Some(entry) = kinds::kind_named(&self.kind) else {
            return Err(EnvironmentError::Prerequisite {
                message: format!("the fault is on a `{}` environment, which this version does not know", self.kind),
                remedy: "undo it with the version of kscen that applied it".to_owned(),
            });
        };
        (entry.heal)(self.recipe.clone()).await
    }
}

impl<'de> Deserialize<'de> for Recipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Value::Object(mut map) = Value::deserialize(deserializer)? else {
            return Err(de::Error::custom("a recipe is a map"));
        };
        match (map.remove("kind"), map.remove("recipe")) {
            (Some(Value::String(kind)), Some(recipe)) => Ok(Self { kind, recipe }),
            // A journal of a version that knew recipes of one kind only.
            (None, None) => Ok(Self { kind: UNNAMED.to_owned(), recipe: Value::Object(map) }),
            _ => Err(de::Error::custom("a recipe has a `kind` and a `recipe`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::docker::DockerConfig;
    use serde_json::json;

    #[test]
    fn recipes_of_old_journals_are_of_containers() {
        let old = json!({ "engine": "unix:///x.sock", "project": "p", "service": "kafka", "container": "c", "repair": "run" });
        let read: Recipe = serde_json::from_value(old.clone()).expect("an old recipe");
        assert_eq!(read, Recipe::of::<DockerConfig>(&old).expect("plain data"));
        let written = serde_json::to_value(&read).expect("plain data");
        assert_eq!(written, json!({ "kind": "docker", "recipe": old }));
        assert_eq!(serde_json::from_value::<Recipe>(written).expect("the same"), read);
    }

    #[tokio::test]
    async fn a_recipe_of_an_unknown_kind_is_refused_with_a_remedy() {
        let recipe: Recipe = serde_json::from_value(json!({ "kind": "moon", "recipe": {} })).expect("a recipe");
        let error = recipe.heal().await.expect_err("there is no such kind");
        assert!(error.to_string().contains("moon") && error.remedy().is_some(), "{error}");
    }
}

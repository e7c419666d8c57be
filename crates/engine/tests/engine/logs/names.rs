//! The names of the facts, as the log has them, from the types themselves: serde knows the variants of an enumeration.

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, Visitor, value::Error},
    forward_to_deserialize_any,
};
use serde_json::Value;
use tidegate_engine::engine::{CommitFact, Fact, NoticeFact, RepositoryFact, RunFact, StageFact, StepFact, TargetFact};

/// Every name; `step.started` is what is said of a step.
pub(super) fn all() -> Vec<String> {
    let nested = |name: &'static str| match name {
        "run" => variants::<RunFact>(),
        "step" => variants::<StepFact>(),
        "target" => variants::<TargetFact>(),
        "repository" => variants::<RepositoryFact>(),
        "stage" => variants::<StageFact>(),
        "commit" => variants::<CommitFact>(),
        "notice" => variants::<NoticeFact>(),
        _ => &[],
    };
    let names = variants::<Fact>().iter().flat_map(|name| match nested(name) {
        [] => vec![(*name).to_owned()],
        inner => inner.iter().map(|inner| format!("{name}.{inner}")).collect(),
    });
    names.collect()
}

/// The name of a fact in a log.
pub(super) fn of(fact: &Value) -> String {
    let name = |value: &Value| match value {
        Value::String(name) => name.clone(),
        Value::Object(fields) => fields.keys().next().unwrap().clone(),
        _ => panic!("{value} is no fact"),
    };
    let outer = name(fact);
    // Of the facts that have a `what`, only a veto has a text there.
    match fact.get(&outer).and_then(|fields| fields.get("what")).filter(|_| !outer.starts_with("veto")) {
        Some(inner) => format!("{outer}.{}", name(inner)),
        None => outer,
    }
}

fn variants<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut variants: &[&str] = &[];
    drop(T::deserialize(Variants(&mut variants)));
    variants
}

/// Asked for an enumeration, it notes the variants and gives none.
struct Variants<'noted>(&'noted mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Variants<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("only enumerations are asked for"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = variants;
        Err(Error::custom("noted"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

//! The schemas in `schemas/` are those that the types give, and what the program prints fits them.

use std::path::Path;

use schemars::{JsonSchema, schema_for};
use serde_json::Value;
use tidegate::{
    cli::{demo::report::DemoReport, doctor::finding::Diagnosis},
    house::settings::Settings,
    report::json::Report,
    simulate::report::Prediction,
    view::status::StatusReport,
};

/// Fails when the file is not what the type gives; `UPDATE_SCHEMAS=1` writes it.
fn schema_file<T: JsonSchema>(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(name);
    let schema = schema_for!(T).to_value();
    let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "schemas/{name} is not what the types give: UPDATE_SCHEMAS=1 cargo nextest run schema");
    schema
}

#[test]
fn schema_of_the_api_is_what_the_table_of_routes_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/api.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&tidegate::web::description()).unwrap());
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "schemas/api.json is not what the routes give: UPDATE_SCHEMAS=1 cargo nextest run schema");
}

fn fits(schema: &Value, document: &Value) {
    let validator = jsonschema::validator_for(schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(document).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn schema_of_settings_is_the_one_that_the_types_give() {
    let schema = schema_file::<Settings>("settings.schema.json");
    let settings: Value = toml::from_str(include_str!("../../src/cli/demo/seed/tidegate.toml")).unwrap();
    fits(&schema, &settings);
}

#[test]
fn schema_of_lint_reports_is_the_one_that_the_types_give() {
    schema_file::<Report>("lint-report.schema.json");
}

#[test]
fn schema_of_the_demo_and_of_status_fit_what_the_program_prints() {
    let demo_schema = schema_file::<DemoReport>("demo.schema.json");
    let status_schema = schema_file::<Vec<StatusReport>>("status.schema.json");
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("demo");
    let directory = directory.to_str().unwrap();
    let tidegate = |arguments: &[&str]| -> Value {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"));
        let output =
            command.args(["-o", "json"]).args(arguments).envs(crate::support::repo::HERMETIC).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Where there is no sandbox it says so.
        assert!(output.stderr.is_empty() || !crate::support::sandbox::is_here(), "quiet but for one document");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let first = tidegate(&["demo", "--yes", "--dir", directory]);
    fits(&demo_schema, &first);
    let again = tidegate(&["demo", "--yes", "--dir", directory]);
    assert_eq!(again["was_done"], true, "when it is done, it only reports");
    assert_eq!((&again["stages"], &again["runs"]), (&first["stages"], &first["runs"]));
    let prediction_schema = schema_file::<Prediction>("prediction.schema.json");
    let config = first["config"].as_str().unwrap();
    let prediction = tidegate(&["--config", config, "simulate", "until", "30h"]);
    fits(&prediction_schema, &prediction);
    assert_eq!(prediction["events"][1]["kind"], "run", "the nightly rebuild");
    let status = tidegate(&["--config", config, "status"]);
    fits(&status_schema, &status);
    assert_eq!(status[0]["targets"][2]["verified"], true);
    fits(&schema_file::<Diagnosis>("doctor.schema.json"), &tidegate(&["--config", config, "doctor"]));
    let past = tidegate(&["--config", first["config"].as_str().unwrap(), "replay", "--seq", "20"]);
    fits(&status_schema, &past);
}

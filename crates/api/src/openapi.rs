//! The OpenAPI document of the routes (<https://spec.openapis.org/oas/v3.1.1.html>).

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::problem::Problem;
use crate::query;
use crate::route::{Gives, Need, Route, schema_of};
use crate::routes::ROUTES;

/// A generator whose definitions stand where OpenAPI has them.
pub(crate) fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    settings.into_generator()
}

/// The document.
pub fn openapi() -> Value {
    let mut generator = generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES.iter().flat_map(|routes| routes.iter()) {
        let operation = operation(route, &mut generator);
        let path = paths
            .entry(route.path)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(path) = path {
            path.insert(route.verb.word().into(), operation);
        }
    }
    let problem = schema_of::<Problem>(&mut generator);
    let answer = |about: &str| json!({ "description": about, "content": { "application/problem+json": { "schema": problem } } });
    let responses = json!({
        "Invalid": answer("The request makes no sense."),
        "Unauthenticated": answer("A token is needed."),
        "Forbidden": answer("The token's role may not do that."),
        "Missing": answer("What is asked for is not there."),
        "Other": answer("The request was not done."),
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Nephoscope",
            "description": "The interface of `neph serve`. Whatever a page of the console can do goes through it.",
            "version": "1",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" }
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, { "session": [], "csrf": [] }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": responses,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "description": "`neph_…`, from `neph token create`" },
                "session": { "type": "apiKey", "in": "cookie", "name": "neph_session", "description": "from `POST /api/v1/session`" },
                "csrf": { "type": "apiKey", "in": "header", "name": "X-CSRF-Token", "description": "of a session, for all that is no GET" }
            }
        }
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut operation = Map::new();
    operation.insert("operationId".into(), json!(route.name));
    operation.insert("summary".into(), json!(route.about));
    let tag = route.name.split('.').next().unwrap_or_default();
    operation.insert("tags".into(), json!([tag]));
    match route.need {
        Need::Nothing => {
            operation.insert("security".into(), json!([]));
        }
        Need::Role(role) => {
            operation.insert("x-role".into(), json!(role));
        }
    }
    let mut parameters: Vec<Value> = route
        .path_names()
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    for (name, parameter) in query::parameters(route, generator) {
        parameters.push(json!({
            "name": name, "in": "query", "required": parameter.required,
            "description": parameter.about, "schema": parameter.schema
        }));
    }
    if !parameters.is_empty() {
        operation.insert("parameters".into(), json!(parameters));
    }
    if let Some(of) = route.body {
        let schema: Schema = of(generator);
        operation.insert(
            "requestBody".into(),
            json!({ "required": true, "content": { "application/json": { "schema": schema } } }),
        );
    }
    let content = match route.gives {
        Gives::Json(of) => json!({ "application/json": { "schema": of(generator) } }),
        Gives::Lines => json!({ "application/x-ndjson": { "schema": { "type": "string" } } }),
        Gives::Text(kind) => json!({ kind: { "schema": { "type": "string" } } }),
        Gives::Events => json!({ "text/event-stream": { "schema": { "type": "string" } } }),
    };
    let mut responses = Map::new();
    responses.insert(
        "200".into(),
        json!({ "description": "Done.", "content": content }),
    );
    let problem = |name: &str| json!({ "$ref": format!("#/components/responses/{name}") });
    responses.insert("400".into(), problem("Invalid"));
    if route.need != Need::Nothing {
        responses.insert("401".into(), problem("Unauthenticated"));
        responses.insert("403".into(), problem("Forbidden"));
    }
    if route.path_names().next().is_some() {
        responses.insert("404".into(), problem("Missing"));
    }
    responses.insert("default".into(), problem("Other"));
    operation.insert("responses".into(), Value::Object(responses));
    Value::Object(operation)
}

//! [`Description`]: the description of the API, to check answers against it.

use flate2::read::GzDecoder;
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::support::client::Answer;

/// `guest/openapi.json`, changed so that undescribed members are invalid.
pub(crate) struct Description(Value);

/// An operation: a path with templates, and a method.
pub(crate) struct Operation<'a> {
    pub(crate) path: &'a str,
    pub(crate) method: String,
    description: &'a Description,
    value: &'a Value,
}

impl Description {
    pub(crate) const TEXT: &str = include_str!("../../guest/openapi.json");

    pub(crate) fn read() -> Self {
        let mut document: Value = serde_json::from_str(Self::TEXT).expect("JSON");
        close(&mut document["components"]["schemas"]);
        Self(document)
    }

    pub(crate) fn document(&self) -> &Value {
        &self.0
    }

    pub(crate) fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        members(&self.0["paths"]).flat_map(move |(path, item)| {
            let methods = members(item).filter(|(name, _)| *name != "parameters");
            methods.map(move |(method, value)| Operation {
                path,
                method: method.to_uppercase(),
                description: self,
                value,
            })
        })
    }

    /// Resolves a reference, if the value is one.
    pub(crate) fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(pointer) => self.0.pointer(&pointer[1..]).expect(pointer),
            None => value,
        }
    }

    /// Returns a validator for a schema of the description.
    pub(crate) fn validator(&self, schema: &Value) -> Validator {
        let whole = json!({"allOf": [schema], "components": self.0["components"]});
        let options = jsonschema::draft202012::options().should_validate_formats(true);
        options.build(&whole).expect("a schema")
    }

    #[track_caller]
    fn expect_valid(&self, schema: &Value, value: &Value) {
        let validator = self.validator(schema);
        let errors: Vec<_> = validator
            .iter_errors(value)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:#?}\n{value:#}");
    }
}

impl<'a> Operation<'a> {
    /// Returns the described statuses.
    pub(crate) fn statuses(&self) -> impl Iterator<Item = u16> {
        members(&self.value["responses"]).map(|(status, _)| status.parse().expect("a status"))
    }

    /// Returns the parameters in the query.
    pub(crate) fn query(&self) -> impl Iterator<Item = &'a Value> {
        let parameters = self.value["parameters"].as_array();
        let parameters = parameters.map(Vec::as_slice).unwrap_or_default().iter();
        parameters
            .map(move |parameter| self.description.resolve(parameter))
            .filter(|parameter| parameter["in"] == "query")
    }

    /// Checks that an answer is described.
    #[track_caller]
    pub(crate) fn expect(&self, answer: &Answer) {
        let status = answer.status.to_string();
        let response = &self.value["responses"][&status];
        let place = format!("{} {} {status}", self.method, self.path);
        assert!(response.is_object(), "{place}: {}", answer.text());
        let response = self.description.resolve(response);
        self.expect_headers(&place, &response["headers"], answer);
        let Some(content) = response["content"].as_object() else {
            assert!(answer.body.is_empty(), "{place}: {}", answer.text());
            return;
        };
        let media_type = answer.header("content-type").expect("a media type");
        let media_type = media_type.split(';').next().unwrap_or_default();
        let described = content.get(media_type);
        let described = described.unwrap_or_else(|| panic!("{place}: {media_type}"));
        if media_type.ends_with("json") {
            let body = json_of(answer);
            self.description.expect_valid(&described["schema"], &body);
            // A problem as a page is described once for all problems.
            if let (Some(uri), 1) = (body["type"].as_str(), content.len()) {
                let label = uri.trim_start_matches("urn:batchtask:problem:");
                let text = response["description"].as_str().expect("a text");
                assert!(text.contains(&format!("`{label}`")), "{place}: {label}");
            }
        }
    }

    #[track_caller]
    fn expect_headers(&self, place: &str, headers: &Value, answer: &Answer) {
        for (name, header) in members(headers) {
            let header = self.description.resolve(header);
            let Some(value) = answer.header(name) else {
                assert_ne!(header["required"], true, "{place}: {name}");
                continue;
            };
            let value = match header["schema"]["type"].as_str() {
                Some("integer") => value.parse::<u64>().expect("a number").into(),
                _ => Value::from(value),
            };
            self.description.expect_valid(&header["schema"], &value);
        }
    }
}

/// Parses the JSON of an answer, which may be gzip-encoded.
pub(crate) fn json_of(answer: &Answer) -> Value {
    match answer.header("content-encoding") {
        Some("gzip") => serde_json::from_reader(GzDecoder::new(answer.body.as_slice())),
        _ => serde_json::from_slice(&answer.body),
    }
    .expect("JSON")
}

fn members(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = object.as_object().into_iter().flat_map(Map::iter);
    members.map(|(name, value)| (name.as_str(), value))
}

/// Makes members invalid that the schema does not describe.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            if members.get("type").is_some_and(|kind| kind == "object") {
                members.insert("additionalProperties".into(), false.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

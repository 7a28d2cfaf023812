//! The bytes of a message.

use bytes::Bytes;
use fe2o3_amqp::types::messaging::{AmqpValue, Body};
use fe2o3_amqp::types::primitives::Value;

/// Returns the body of a message: the text or the bytes in it. Another value, which no
/// notification is, is returned as it is encoded, so that the quarantine shows it.
pub(crate) fn bytes_of(body: Body<Value>) -> Bytes {
    match body {
        Body::Data(sections) => joined(sections.into_iter().map(|data| data.0.into_vec())),
        Body::Value(AmqpValue(Value::String(text))) => text.into(),
        Body::Value(AmqpValue(Value::Binary(bytes))) => bytes.into_vec().into(),
        Body::Value(AmqpValue(value)) => encoded(&value).into(),
        Body::Sequence(sections) => {
            let values = sections.into_iter().flat_map(|section| section.0);
            joined(values.map(|value| encoded(&value)))
        }
        Body::Empty => Bytes::new(),
    }
}

fn encoded(value: &Value) -> Vec<u8> {
    // It was decoded, so it can be encoded.
    serde_amqp::to_vec(value).unwrap_or_default()
}

/// Returns the parts in one piece. There is almost always one part.
fn joined(mut parts: impl Iterator<Item = Vec<u8>>) -> Bytes {
    let mut whole = parts.next().unwrap_or_default();
    parts.for_each(|part| whole.extend_from_slice(&part));
    whole.into()
}

#[cfg(test)]
mod tests {
    use fe2o3_amqp::types::messaging::{AmqpSequence, Batch, Data};
    use fe2o3_amqp::types::primitives::Binary;

    use super::*;

    fn binary(bytes: &[u8]) -> Binary {
        Binary::from(bytes.to_vec())
    }

    fn value(value: Value) -> Body<Value> {
        Body::Value(AmqpValue(value))
    }

    #[test]
    fn texts_and_bytes_come_out_as_they_went_in() {
        let text = "{\"a\": \"é\"}";
        assert_eq!(bytes_of(value(Value::String(text.into()))), text);
        assert_eq!(bytes_of(value(Value::String(String::new()))), "");
        assert_eq!(
            bytes_of(value(Value::Binary(binary(b"{\xff")))),
            b"{\xff"[..]
        );
        let sections = [&b"{\"a\""[..], b": ", b"1}"].map(|part| Data(binary(part)));
        let data = Body::Data(Batch::new(sections.to_vec()));
        assert_eq!(bytes_of(data), "{\"a\": 1}");
        assert_eq!(bytes_of(Body::Empty), "");
    }

    #[test]
    fn another_value_comes_out_as_it_is_encoded() {
        assert_eq!(bytes_of(value(Value::Bool(true))), [0x41][..]);
        assert_eq!(bytes_of(value(Value::Null)), [0x40][..]);
        assert_eq!(bytes_of(value(Value::Uint(7))), [0x52, 7][..]);
        let items = vec![Value::Bool(true), Value::Bool(false)];
        let sequence = Body::Sequence(Batch::new(vec![AmqpSequence(items)]));
        assert_eq!(bytes_of(sequence), [0x41, 0x42][..]);
    }
}

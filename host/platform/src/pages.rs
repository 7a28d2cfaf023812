//! [`Page`]: lists, page by page, in both shapes of the platform.

use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answer::Answer;
use crate::call::Call;
use crate::client::Client;
use crate::error::Error;

/// The most members that the platform puts on a page.
const PAGE_LIMIT: u32 = 50;

/// The most pages of a list, 50 000 members: more than any quota allows. It bounds
/// a list whose markers never end.
const PAGES_MAX: usize = 1000;

/// One page of a list, from its newest member to its oldest.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The members.
    pub items: Vec<T>,
    /// How many members the whole list has. `None` if the platform does not report it.
    pub count: Option<u64>,
    /// Where the next page begins.
    pub marker: Option<String>,
    /// The platform's time, in milliseconds since 1970.
    pub date_ms: Option<u64>,
}

/// The position of a page. Rules, actions and policies have it at the top of the
/// answer. Certificates, queues and tasks have it in the member `page`.
#[derive(Default, Deserialize)]
struct Position {
    count: Option<u64>,
    marker: Option<String>,
}

/// Which page of a list to read. `None` leaves the choice to the platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// How many members, at most 50.
    pub limit: Option<u32>,
    /// The marker of the page before: newer members are left out.
    pub marker: Option<String>,
    /// How many members to skip, at most 500.
    pub offset: Option<u32>,
}

impl PageRequest {
    /// Returns the request for the longest page after a marker.
    pub fn after(marker: Option<String>) -> Self {
        Self {
            limit: Some(PAGE_LIMIT),
            marker,
            offset: None,
        }
    }

    pub(crate) fn add_to(&self, call: Call) -> Call {
        call.query("limit", self.limit)
            .query("marker", self.marker.as_deref())
            .query("offset", self.offset)
    }
}

/// A filter of a list: which members to read. A member of a filter that is `None`
/// matches every value.
pub trait Filter {
    /// The members of the list.
    type Item: DeserializeOwned;
    /// The operation, as a verb phrase for errors.
    #[doc(hidden)]
    const OPERATION: &'static str;
    /// The path of the list.
    #[doc(hidden)]
    const PATH: &'static str;
    /// The member of the answer that has the items.
    #[doc(hidden)]
    const ITEMS: &'static str;

    /// Returns the parameters of the query.
    #[doc(hidden)]
    fn parameters(&self) -> Vec<(&'static str, Option<String>)> {
        Vec::new()
    }
}

impl Client {
    /// Reads one page of a list.
    ///
    /// # Errors
    /// The call failed.
    pub async fn page<F: Filter>(
        &self,
        filter: &F,
        request: &PageRequest,
    ) -> Result<Page<F::Item>, Error> {
        let mut call = Call::new(F::OPERATION, Method::GET, &[F::PATH]);
        for (name, value) in filter.parameters() {
            call = call.query(name, value);
        }
        page(&self.send(&request.add_to(call)).await?, F::ITEMS)
    }

    /// Reads all pages of a list.
    ///
    /// # Errors
    /// A call failed, or the list does not end.
    pub async fn list<F: Filter>(&self, filter: &F) -> Result<Vec<F::Item>, Error> {
        let mut all = Vec::new();
        let mut request = PageRequest::after(None);
        for _ in 0..PAGES_MAX {
            let page = self.page(filter, &request).await?;
            let is_last = page.is_last(all.len(), request.marker.as_deref());
            all.extend(page.items);
            if is_last {
                return Ok(all);
            }
            request = PageRequest::after(page.marker);
        }
        let operation = F::OPERATION;
        Err(Error::EndlessList { operation })
    }
}

impl<T> Page<T> {
    /// Whether no page follows. `before` members were on the pages before, and
    /// `marker` was asked for.
    ///
    /// After a full page there is always a next page, whatever the count says. After
    /// a short page there is one if the count says so. So neither a wrong count nor a
    /// lower limit of the platform loses members.
    pub fn is_last(&self, before: usize, marker: Option<&str>) -> bool {
        let total = before + self.items.len();
        let is_short = self.items.len() < PAGE_LIMIT as usize;
        let is_complete = is_short && self.count.is_none_or(|count| total as u64 >= count);
        // After a marker that does not move, the same page would follow.
        let is_stuck = self.marker.is_none() || self.marker.as_deref() == marker;
        self.items.is_empty() || is_complete || is_stuck
    }
}

/// Parses a page in either shape.
pub(crate) fn page<T: DeserializeOwned>(answer: &Answer, items: &str) -> Result<Page<T>, Error> {
    let mut body: Value = answer.json()?;
    let parse = |value: Value| T::deserialize(value).map_err(|error| answer.unexpected(error));
    let items = match body.get_mut(items).map(Value::take) {
        Some(Value::Array(items)) => items.into_iter().map(parse).collect::<Result<_, _>>()?,
        Some(Value::Null) => Vec::new(),
        _ => return Err(answer.unexpected(format!("there is no list `{items}`"))),
    };
    let position = body.get_mut("page").map(Value::take).unwrap_or(body);
    let position = Position::deserialize(position).unwrap_or_default();
    let (count, marker) = (position.count, position.marker);
    let date_ms = answer.date_ms();
    Ok(Page {
        items,
        count,
        marker,
        date_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(body: Value) -> Result<Page<u8>, Error> {
        let answer = Answer {
            operation: "list rules",
            host: "h".into(),
            headers: http::HeaderMap::new(),
            body: body.to_string().into(),
        };
        page(&answer, "rules")
    }

    #[test]
    fn both_shapes_of_a_page_are_read() {
        for body in [
            json!({"rules": [1, 2], "count": 3, "marker": "m"}),
            json!({"rules": [1, 2], "page": {"count": 3, "marker": "m"}}),
        ] {
            let page = parsed(body).unwrap();
            assert_eq!((page.items.len(), page.count), (2, Some(3)));
            assert_eq!(page.marker.as_deref(), Some("m"));
            assert!(!page.is_last(0, None));
            assert!(page.is_last(1, None) && page.is_last(0, Some("m")));
        }
        assert!(parsed(json!({"rules": null})).unwrap().is_last(0, None));
        let text = parsed(json!({"queues": []})).unwrap_err().to_string();
        assert!(text.contains("unexpected form"), "{text}");
    }
}

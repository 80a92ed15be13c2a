//! Writes JSON straight into a buffer. Knows where commas go, and nothing else.

use super::tree::{Str, Value};

/// A writer that stands where the next key or value goes.
///
/// ```
/// use qingwave::wire::json::Json;
/// let mut out = Vec::new();
/// Json::new(&mut out).object(|json| {
///     json.key("id").text("m1");
///     json.key("parts").array(|json| {
///         json.uint(1);
///         json.null();
///     });
/// });
/// assert_eq!(out, br#"{"id":"m1","parts":[1,null]}"#);
/// ```
pub struct Json<'o> {
    out: &'o mut Vec<u8>,
    /// A value stands before, so a comma comes first.
    after_value: bool,
}

impl<'o> Json<'o> {
    pub fn new(out: &'o mut Vec<u8>) -> Json<'o> {
        Json { out, after_value: false }
    }

    fn begin(&mut self) {
        if self.after_value {
            self.out.push(b',');
        }
        self.after_value = true;
    }

    /// `name` must need no escapes.
    pub fn key(&mut self, name: &str) -> &mut Self {
        self.begin();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.after_value = false;
        self
    }

    pub fn key_of(&mut self, name: &Str<'_>) -> &mut Self {
        self.str(name);
        self.out.push(b':');
        self.after_value = false;
        self
    }

    pub fn object(&mut self, members: impl FnOnce(&mut Json<'_>)) {
        self.begin();
        self.out.push(b'{');
        members(&mut Json { out: self.out, after_value: false });
        self.out.push(b'}');
    }

    pub fn array(&mut self, elements: impl FnOnce(&mut Json<'_>)) {
        self.begin();
        self.out.push(b'[');
        elements(&mut Json { out: self.out, after_value: false });
        self.out.push(b']');
    }

    pub fn str(&mut self, text: &Str<'_>) {
        self.begin();
        self.out.push(b'"');
        text.write_inside(self.out);
        self.out.push(b'"');
    }

    pub fn text(&mut self, text: &str) {
        self.str(&Str::plain(text));
    }

    /// Several texts as one string.
    pub fn texts<'s>(&mut self, texts: impl IntoIterator<Item = Str<'s>>) {
        self.begin();
        self.out.push(b'"');
        for text in texts {
            text.write_inside(self.out);
        }
        self.out.push(b'"');
    }

    /// A text whose JSON form is the string's content: a call's arguments from an object.
    pub fn json_as_text(&mut self, value: &Value<'_>) {
        self.text(&value.to_json());
    }

    pub fn uint(&mut self, number: u64) {
        self.raw(&number.to_string());
    }

    pub fn int(&mut self, number: i64) {
        self.raw(&number.to_string());
    }

    pub fn bool(&mut self, bool: bool) {
        self.raw(if bool { "true" } else { "false" });
    }

    pub fn null(&mut self) {
        self.raw("null");
    }

    pub fn value(&mut self, value: &Value<'_>) {
        self.begin();
        value.write(self.out);
    }

    /// A value that is JSON already.
    pub fn raw(&mut self, json: &str) {
        self.begin();
        self.out.extend_from_slice(json.as_bytes());
    }
}

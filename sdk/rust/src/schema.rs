//! JSON schemas (2020-12) of types, as serde reads and writes them.
//!
//! `#[derive(Schema)]` builds the text out of constants, so that a schema costs a component little more than its letters.
//! A type is written where it is used; only one that contains itself is referred to.

mod known;
mod parts;

pub use parts::{List, Object, Property};

/// A type whose JSON can be described. Derived beside serde's traits, and from the same attributes.
///
/// Documentation comments of types, fields and variants become descriptions. Bounds are said by `#[schema(…)]` on a field:
/// `minimum`, `maximum`, `exclusive_minimum`, `exclusive_maximum`, `multiple_of`, `min_length`, `max_length`, `pattern`,
/// `format`, `min_items`, `max_items`, `unique_items`, `default`, `title`, each `= literal`, and `as = Type` for a field that is
/// written as another type (`#[serde(with = …)]`). They describe; checking them is the skill's.
///
/// ```
/// use serde::Deserialize;
/// use village::Schema;
///
/// #[derive(Deserialize, Schema)]
/// #[serde(rename_all = "camelCase")]
/// struct Order {
///     /// What is wanted.
///     article: String,
///     #[schema(minimum = 1)]
///     how_many: Option<u32>,
/// }
///
/// assert_eq!(
///     village::schema::input::<Order>(),
///     r#"{"type":"object","properties":{"article":{"description":"What is wanted.","type":"string"},"#.to_owned()
///         + r#""howMany":{"minimum":1,"type":["integer","null"],"maximum":4294967295}},"required":["article"]}"#
/// );
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no JSON schema, so no skill can take or answer it",
    label = "a skill's input and output need a schema",
    note = "for a type of your own: `#[derive(village::Schema)]` beside serde's `Deserialize` or `Serialize`",
    note = "for bytes or text without a schema: `village::Payload`, `Vec<u8>` or `String`"
)]
pub trait Schema {
    /// What a type that may contain itself is called. Empty for types that are always written out.
    const NAME: &'static str = "";
    /// What stands over the type. May be empty.
    const DESCRIPTION: &'static str = "";
    /// Whether a field of this type may be left out.
    const OPTIONAL: bool = false;
    /// Whether the member `type` says it all, so that `null` can be allowed there.
    const PLAIN: bool = false;

    /// What tells this type from all others. A pointer is what it points to.
    #[doc(hidden)]
    fn id() -> &'static str {
        std::any::type_name::<Self>()
    }

    /// Writes the members of the schema: `"type":"string"`.
    fn write(to: &mut Writer);

    /// Writes the properties into a larger object, as `#[serde(flatten)]` does.
    fn flatten(into: &mut Object<'_>) {
        into.all_of::<Self>();
    }
}

/// The schema of what is read as `T`.
pub fn input<T: Schema + ?Sized>() -> String {
    text(&Of::the::<T>(), true)
}

/// The schema of what is written of a `T`.
pub fn output<T: Schema + ?Sized>() -> String {
    text(&Of::the::<T>(), false)
}

/// What is known of a type, so that the functions below are compiled once and not for each type.
struct Of {
    name: &'static str,
    description: &'static str,
    id: fn() -> &'static str,
    write: fn(&mut Writer),
}

impl Of {
    const fn the<T: Schema + ?Sized>() -> Of {
        Of { name: T::NAME, description: T::DESCRIPTION, id: T::id, write: T::write }
    }
}

fn text(of: &Of, input: bool) -> String {
    let mut writer = Writer {
        text: String::new(),
        input,
        taken: Vec::new(),
        nullable: false,
        first: true,
        root: (of.id)(),
        open: Vec::new(),
        defined: Vec::new(),
        definitions: String::new(),
    };
    writer.braces(of, &[]);
    if !writer.definitions.is_empty() {
        writer.text.pop();
        let definitions = std::mem::take(&mut writer.definitions);
        writer.put(&[if writer.first { "\"$defs\":{" } else { ",\"$defs\":{" }, &definitions, "}}"]);
    }
    writer.text
}

/// Members that a field adds to the schema of its type, or puts in their place: the name, and the value as JSON.
pub type Extra = &'static [(&'static str, &'static str)];

/// Where a schema is written to.
pub struct Writer {
    text: String,
    input: bool,
    /// Members that a field has already put in the place of its type's.
    taken: Vec<&'static str>,
    nullable: bool,
    first: bool,
    root: &'static str,
    /// Types that are being written, by their full names, and whether they turned out to contain themselves.
    open: Vec<(&'static str, bool)>,
    /// Types that contain themselves, by their full names, and what they are called here.
    defined: Vec<(&'static str, String)>,
    definitions: String,
}

impl Writer {
    /// Whether this is the schema of something that is read.
    pub fn input(&self) -> bool {
        self.input
    }

    /// One member, unless a field says otherwise.
    pub fn member(&mut self, name: &str, json: &str) {
        if self.begin(name) {
            self.text.push_str(json);
        }
    }

    /// The member `type`; with `null` where the value may be.
    pub fn kind(&mut self, name: &str) {
        let nullable = std::mem::take(&mut self.nullable);
        if self.begin("type") {
            let (before, behind) = if nullable { ("[\"", "\",\"null\"]") } else { ("\"", "\"") };
            self.put(&[before, name, behind]);
        }
    }

    /// Members, and then others, of which those of the same names are left out.
    pub fn with(&mut self, extra: Extra, write: &dyn Fn(&mut Writer)) {
        for (name, json) in extra {
            self.member(name, json);
        }
        self.taken.extend(extra.iter().map(|(name, _)| name));
        write(self);
    }

    /// One member that is a schema.
    pub fn schema<T: Schema + ?Sized>(&mut self, name: &str) {
        if self.begin(name) {
            self.value(&Of::the::<T>(), &[]);
        }
    }

    /// One member that is a list. Each call of `next` begins an item.
    pub fn list(&mut self, name: &str, items: &dyn Fn(&mut List<'_>)) {
        if self.begin(name) {
            self.text.push('[');
            items(&mut List { writer: self, first: true });
            self.text.push(']');
            self.first = false;
        }
    }

    /// The members of an object: `properties`, `required` and what belongs to them. A `closed` one has no others.
    pub fn object(&mut self, closed: bool, properties: &dyn Fn(&mut Object<'_>)) {
        self.kind("object");
        let comma = if self.first { "" } else { "," };
        self.put(&[comma, "\"properties\":{"]);
        let mut object =
            Object { writer: self, first: true, required: String::new(), all_of: String::new(), others: String::new() };
        properties(&mut object);
        let Object { required, all_of, others, .. } = object;
        self.first = false;
        self.put(&["}"]);
        if !required.is_empty() {
            self.put(&[",\"required\":[", &required, "]"]);
        }
        if !all_of.is_empty() {
            self.put(&[",\"allOf\":[", &all_of, "]"]);
        }
        if !others.is_empty() {
            self.put(&[",\"additionalProperties\":", &others]);
        } else if closed && self.input {
            let name = if all_of.is_empty() { "additionalProperties" } else { "unevaluatedProperties" };
            self.put(&[",\"", name, "\":false"]);
        }
    }

    /// A whole schema, in braces.
    fn value(&mut self, of: &Of, extra: Extra) {
        if of.name.is_empty() {
            return self.braces(of, extra);
        }
        let id = (of.id)();
        if id == self.root {
            return self.reference("#", extra);
        }
        let open = self.open.iter_mut().find(|open| open.0 == id);
        let inside = open.map(|open| open.1 = true).is_some();
        if inside || self.defined.iter().any(|defined| defined.0 == id) {
            let name = self.define(id, of.name);
            return self.reference(&name, extra);
        }
        let start = self.text.len();
        self.open.push((id, false));
        self.braces(of, extra);
        if self.open.pop().is_some_and(|open| open.1) {
            // It contains itself, which is known only now: once more, without what this field adds.
            self.text.truncate(start);
            let name = self.define(id, of.name);
            let text = self.aside(of);
            let comma = if self.definitions.is_empty() { "" } else { "," };
            put(&mut self.definitions, &[comma, "\"", &name["#/$defs/".len()..], "\":", &text]);
            self.reference(&name, extra);
        }
    }

    /// A schema that is written elsewhere later. Of a type that is defined: what it is.
    fn aside(&mut self, of: &Of) -> String {
        let outer = std::mem::take(&mut self.text);
        self.braces(of, &[]);
        std::mem::replace(&mut self.text, outer)
    }

    fn braces(&mut self, of: &Of, extra: Extra) {
        self.enclosed(&|to| {
            to.with(extra, &|to| {
                if !of.description.is_empty() && to.begin("description") {
                    crate::json::quote(of.description, &mut to.text);
                }
                (of.write)(to);
            });
        });
    }

    fn reference(&mut self, to: &str, extra: Extra) {
        self.enclosed(&|writer| {
            writer.with(extra, &|writer| {
                if writer.begin("$ref") {
                    writer.put(&["\"", to, "\""]);
                }
            });
        });
    }

    /// Braces, and in them members that nothing outside them bears on.
    fn enclosed(&mut self, members: &dyn Fn(&mut Writer)) {
        let outer = (std::mem::take(&mut self.taken), std::mem::take(&mut self.nullable));
        self.text.push('{');
        self.first = true;
        members(self);
        self.text.push('}');
        (self.taken, self.nullable) = outer;
        self.first = false;
    }

    /// The reference to a type that contains itself.
    fn define(&mut self, id: &'static str, name: &str) -> String {
        if let Some(known) = self.defined.iter().find(|defined| defined.0 == id) {
            return known.1.clone();
        }
        let mut free = String::from("#/$defs/");
        free.push_str(name);
        // Two types of one name, in different modules or for different parameters.
        while self.defined.iter().any(|defined| defined.1 == free) {
            free.push('_');
        }
        self.defined.push((id, free.clone()));
        free
    }

    fn put(&mut self, parts: &[&str]) {
        put(&mut self.text, parts);
    }

    /// Writes a member's name, unless a field has one of that name.
    fn begin(&mut self, name: &str) -> bool {
        if self.taken.contains(&name) {
            return false;
        }
        let comma = if self.first { "" } else { "," };
        self.first = false;
        self.put(&[comma, "\"", name, "\":"]);
        true
    }
}

fn put(text: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| text.push_str(part));
}

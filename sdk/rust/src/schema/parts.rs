//! Lists and objects, as the macros' code writes them.

use super::{Extra, Of, Schema, Writer, put};

/// A list that is being written.
pub struct List<'a> {
    pub(super) writer: &'a mut Writer,
    pub(super) first: bool,
}

impl List<'_> {
    /// Whether this is the schema of something that is read.
    pub fn input(&self) -> bool {
        self.writer.input
    }

    /// One item that is a schema.
    pub fn schema<T: Schema + ?Sized>(&mut self, extra: Extra) {
        self.comma();
        self.writer.value(&Of::the::<T>(), extra);
    }

    /// One item that is a schema without a type of its own.
    pub fn braces(&mut self, members: &dyn Fn(&mut Writer)) {
        self.comma();
        self.writer.enclosed(members);
    }

    /// One item as JSON.
    pub fn json(&mut self, json: &str) {
        self.comma();
        self.writer.text.push_str(json);
    }

    fn comma(&mut self) {
        if !self.first {
            self.writer.text.push(',');
        }
        self.first = false;
    }
}

/// An object that is being written.
pub struct Object<'a> {
    pub(super) writer: &'a mut Writer,
    pub(super) first: bool,
    pub(super) required: String,
    pub(super) all_of: String,
    pub(super) others: String,
}

/// One property, as it is read and as it is written.
pub struct Property {
    /// Its name where it is read; empty if it is not.
    pub read: &'static str,
    /// Its name where it is written; empty if it is not.
    pub written: &'static str,
    /// Whether it must be there to be read, unless its type may be left out.
    pub needed: bool,
    /// Whether it is always written.
    pub always: bool,
    /// What the field adds to its type's schema.
    pub extra: Extra,
}

impl Object<'_> {
    /// Whether this is the schema of something that is read.
    pub fn input(&self) -> bool {
        self.writer.input
    }

    /// One property.
    pub fn property<T: Schema + ?Sized>(&mut self, property: &Property) {
        self.one(&Of::the::<T>(), T::OPTIONAL, property);
    }

    fn one(&mut self, of: &Of, optional: bool, property: &Property) {
        let (name, required) = if self.writer.input {
            (property.read, property.needed && !optional)
        } else {
            (property.written, property.always)
        };
        if self.name(name, required) {
            self.writer.value(of, property.extra);
        }
    }

    /// A property with one possible value, given as JSON: a tag.
    pub fn tag(&mut self, name: &str, json: &str) {
        if self.name(name, true) {
            self.writer.put(&["{\"const\":", json, "}"]);
        }
    }

    /// A property that is always there.
    pub fn schema<T: Schema + ?Sized>(&mut self, name: &str, extra: Extra) {
        if self.name(name, true) {
            self.writer.value(&Of::the::<T>(), extra);
        }
    }

    /// A property that is a schema without a type of its own.
    pub fn braces(&mut self, name: &str, members: &dyn Fn(&mut Writer)) {
        if self.name(name, true) {
            self.writer.enclosed(members);
        }
    }

    /// The rest of the properties, whatever they are called.
    pub fn others<T: Schema + ?Sized>(&mut self) {
        self.others = self.aside(&Of::the::<T>());
    }

    /// Properties that can't be listed here, such as those of an enum: the whole must satisfy that schema too.
    pub fn all_of<T: Schema + ?Sized>(&mut self) {
        let text = self.aside(&Of::the::<T>());
        if !self.all_of.is_empty() {
            self.all_of.push(',');
        }
        self.all_of.push_str(&text);
    }

    /// A schema that is written elsewhere later.
    fn aside(&mut self, of: &Of) -> String {
        let outer = std::mem::take(&mut self.writer.text);
        self.writer.value(of, &[]);
        std::mem::replace(&mut self.writer.text, outer)
    }

    /// What `fields` writes is there altogether or not at all, so none of it is required.
    pub fn optional(&mut self, fields: fn(&mut Object<'_>)) {
        let before = self.required.len();
        fields(self);
        self.required.truncate(before);
    }

    /// Begins a property; not if there is none of that name in this direction.
    fn name(&mut self, name: &str, required: bool) -> bool {
        if name.is_empty() {
            return false;
        }
        let mut quoted = String::new();
        crate::json::quote(name, &mut quoted);
        let comma = if self.first { "" } else { "," };
        self.first = false;
        self.writer.put(&[comma, &quoted, ":"]);
        if required {
            let comma = if self.required.is_empty() { "" } else { "," };
            put(&mut self.required, &[comma, &quoted]);
        }
        true
    }
}

//! The values of JSON, as serde asks for them.

use std::borrow::Cow;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::fault::Fault;
use super::reader::Reader;

macro_rules! integers {
    ($($method:ident $parsed:ty, $visit:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
                return Err(self.mismatch(&visitor));
            }
            let number = self.number()?;
            match number.parse::<$parsed>() {
                Ok(number) => visitor.$visit(number),
                Err(_) => Err(no_integer(number, &visitor)),
            }
        }
    )*};
}

macro_rules! fractions {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
                return Err(self.mismatch(&visitor));
            }
            let number = self.number()?;
            visitor.visit_f64(fraction(number)?)
        }
    )*};
}

#[cold]
fn no_integer(number: &str, expected: &dyn serde::de::Expected) -> Fault {
    Fault::invalid_value(Unexpected::Other(&["the number ", number].concat()), expected)
}

fn fraction(number: &str) -> Result<f64, Fault> {
    match number.parse::<f64>() {
        Ok(parsed) if parsed.is_finite() => Ok(parsed),
        _ => Err(Fault::new(&["is ", number, ", which is out of range"].concat())),
    }
}

fn text<'de, V: Visitor<'de>>(text: Cow<'de, str>, visitor: V) -> Result<V::Value, Fault> {
    match text {
        Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
        Cow::Owned(text) => visitor.visit_string(text),
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Fault;

    integers! {
        deserialize_i8 i64, visit_i64;
        deserialize_i16 i64, visit_i64;
        deserialize_i32 i64, visit_i64;
        deserialize_i64 i64, visit_i64;
        deserialize_i128 i128, visit_i128;
        deserialize_u8 u64, visit_u64;
        deserialize_u16 u64, visit_u64;
        deserialize_u32 u64, visit_u64;
        deserialize_u64 u64, visit_u64;
        deserialize_u128 u128, visit_u128;
    }
    fractions! { deserialize_f32 deserialize_f64 }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.peek() {
            Some(b'"') => text(self.string()?, visitor),
            Some(b'{') => self.deserialize_map(visitor),
            Some(b'[') => self.deserialize_seq(visitor),
            Some(b'-' | b'0'..=b'9') => {
                let number = self.number()?;
                if let Ok(unsigned) = number.parse() {
                    visitor.visit_u64(unsigned)
                } else if let Some(signed) = number.parse().ok().filter(|signed| *signed < 0) {
                    visitor.visit_i64(signed)
                } else {
                    visitor.visit_f64(fraction(number)?)
                }
            }
            Some(b't' | b'f') => self.deserialize_bool(visitor),
            _ => self.deserialize_unit(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.word("true") {
            visitor.visit_bool(true)
        } else if self.word("false") {
            visitor.visit_bool(false)
        } else {
            Err(self.mismatch(&visitor))
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.peek() == Some(b'"') { text(self.string()?, visitor) } else { Err(self.mismatch(&visitor)) }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.peek() {
            Some(b'"') => visitor.visit_bytes(self.string()?.as_bytes()),
            _ => self.deserialize_seq(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.word("null") { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.word("null") { visitor.visit_unit() } else { Err(self.mismatch(&visitor)) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.peek() != Some(b'[') {
            return Err(self.mismatch(&visitor));
        }
        self.take(b'[');
        self.enter()?;
        let mut items = Items { reader: self, first: true, place: 0, done: false };
        let value = visitor.visit_seq(&mut items)?;
        items.end()?;
        self.leave();
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.peek() != Some(b'{') {
            return Err(self.mismatch(&visitor));
        }
        self.take(b'{');
        self.enter()?;
        let mut fields = Fields { reader: self, first: true, key: Cow::Borrowed(""), done: false };
        let value = visitor.visit_map(&mut fields)?;
        fields.end()?;
        self.leave();
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.peek() {
            Some(b'"') => {
                let name = self.string()?;
                visitor.visit_enum(IntoDeserializer::<Fault>::into_deserializer(&*name))
            }
            Some(b'{') => {
                self.take(b'{');
                self.enter()?;
                let value = visitor.visit_enum(Variant { reader: self })?;
                if !self.take(b'}') {
                    return Err(self.broken("one variant is named, and its end is missing"));
                }
                self.leave();
                Ok(value)
            }
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.skip()?;
        visitor.visit_unit()
    }
}

/// The items of a list.
struct Items<'r, 'de> {
    reader: &'r mut Reader<'de>,
    first: bool,
    place: usize,
    done: bool,
}

impl Items<'_, '_> {
    /// Whoever took the items has taken them all.
    fn end(&mut self) -> Result<(), Fault> {
        if self.done || !self.reader.more(&mut self.first, b']')? {
            return Ok(());
        }
        Err(Fault::new(&["has more than ", &self.place.to_string(), " items"].concat()))
    }
}

impl<'de> SeqAccess<'de> for &mut Items<'_, 'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        if self.done || !self.reader.more(&mut self.first, b']')? {
            self.done = true;
            return Ok(None);
        }
        let place = self.place;
        self.place += 1;
        seed.deserialize(&mut *self.reader).map(Some).map_err(|fault| fault.in_item(place))
    }
}

/// The fields of an object.
struct Fields<'r, 'de> {
    reader: &'r mut Reader<'de>,
    first: bool,
    key: Cow<'de, str>,
    done: bool,
}

impl Fields<'_, '_> {
    fn end(&mut self) -> Result<(), Fault> {
        if self.done || !self.reader.more(&mut self.first, b'}')? {
            return Ok(());
        }
        Err(Fault::new("has fields that nobody reads"))
    }
}

impl<'de> MapAccess<'de> for &mut Fields<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        if self.done || !self.reader.more(&mut self.first, b'}')? {
            self.done = true;
            return Ok(None);
        }
        self.key = self.reader.string()?;
        self.reader.colon()?;
        seed.deserialize(Key(self.key.clone())).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(&mut *self.reader).map_err(|fault| fault.in_field(&self.key))
    }
}

/// The name of a field, which may be a number or a truth in a string.
struct Key<'de>(Cow<'de, str>);

macro_rules! keys {
    ($($method:ident $parsed:ty, $visit:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self.0.parse::<$parsed>() {
                Ok(parsed) => visitor.$visit(parsed),
                Err(_) => Err(Fault::invalid_type(Unexpected::Str(&self.0), &visitor).in_field(&self.0)),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Fault;

    keys! {
        deserialize_bool bool, visit_bool;
        deserialize_i8 i64, visit_i64;
        deserialize_i16 i64, visit_i64;
        deserialize_i32 i64, visit_i64;
        deserialize_i64 i64, visit_i64;
        deserialize_i128 i128, visit_i128;
        deserialize_u8 u64, visit_u64;
        deserialize_u16 u64, visit_u64;
        deserialize_u32 u64, visit_u64;
        deserialize_u64 u64, visit_u64;
        deserialize_u128 u128, visit_u128;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        text(self.0, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Cow::Borrowed(text) => {
                BorrowedStrDeserializer::<Fault>::new(text).deserialize_enum(name, variants, visitor)
            }
            Cow::Owned(text) => StrDeserializer::<Fault>::new(&text).deserialize_enum(name, variants, visitor),
        }
    }

    forward_to_deserialize_any! {
        f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The one field of an object that is a variant with its content.
struct Variant<'r, 'de> {
    reader: &'r mut Reader<'de>,
}

impl<'r, 'de> EnumAccess<'de> for Variant<'r, 'de> {
    type Error = Fault;
    type Variant = Content<'r, 'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Content<'r, 'de>), Fault> {
        let name = self.reader.string()?;
        self.reader.colon()?;
        let value = seed.deserialize(Key(name.clone()))?;
        Ok((value, Content { reader: self.reader, name }))
    }
}

/// What stands behind the name of a variant.
struct Content<'r, 'de> {
    reader: &'r mut Reader<'de>,
    name: Cow<'de, str>,
}

impl<'de> VariantAccess<'de> for Content<'_, 'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        <() as serde::Deserialize>::deserialize(self.reader).map_err(|fault| fault.in_field(&self.name))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(self.reader).map_err(|fault| fault.in_field(&self.name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.reader.deserialize_seq(visitor).map_err(|fault| fault.in_field(&self.name))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        self.reader.deserialize_map(visitor).map_err(|fault| fault.in_field(&self.name))
    }
}

//! Schemas of the types that serde knows by itself.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::{Object, Schema, Writer};

/// Bounds and the like: a member's name, and its value as JSON.
type Members = &'static [(&'static str, &'static str)];

macro_rules! plain {
    ($kind:literal $members:expr; $($type:ty),*) => {$(
        impl Schema for $type {
            const PLAIN: bool = true;
            fn write(to: &mut Writer) {
                const MEMBERS: Members = &$members;
                to.kind($kind);
                MEMBERS.iter().for_each(|(name, json)| to.member(name, json));
            }
        }
    )*};
}

plain!("boolean" []; bool);
plain!("null" []; ());
plain!("number" []; f32, f64);
plain!("string" []; str, String, Path, PathBuf, IpAddr);
plain!("string" [("minLength", "1"), ("maxLength", "1")]; char);
plain!("string" [("format", "\"ipv4\"")]; Ipv4Addr);
plain!("string" [("format", "\"ipv6\"")]; Ipv6Addr);
plain!("integer" []; i64, i128, isize);
plain!("integer" [("minimum", "0")]; u64, u128, usize);
plain!("integer" [("minimum", "1")]; NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize);
plain!("integer" [("minimum", "-128"), ("maximum", "127")]; i8);
plain!("integer" [("minimum", "-32768"), ("maximum", "32767")]; i16);
plain!("integer" [("minimum", "-2147483648"), ("maximum", "2147483647")]; i32);
plain!("integer" [("minimum", "0"), ("maximum", "255")]; u8);
plain!("integer" [("minimum", "0"), ("maximum", "65535")]; u16);
plain!("integer" [("minimum", "0"), ("maximum", "4294967295")]; u32);

/// Anything at all.
impl Schema for serde_json::Value {
    // Null is a value like any other, so it may be there; but it must be.
    fn write(_: &mut Writer) {}
}

impl Schema for serde_json::Map<String, serde_json::Value> {
    const PLAIN: bool = true;
    fn write(to: &mut Writer) {
        to.kind("object");
    }
    fn flatten(into: &mut Object<'_>) {
        into.others::<serde_json::Value>();
    }
}

impl<T: Schema> Schema for Option<T> {
    const OPTIONAL: bool = true;

    fn write(to: &mut Writer) {
        if T::PLAIN {
            to.nullable = true;
            return T::write(to);
        }
        to.list("anyOf", &|list| {
            list.schema::<T>(&[]);
            list.json("{\"type\":\"null\"}");
        });
    }

    fn flatten(into: &mut Object<'_>) {
        into.optional(T::flatten);
    }
}

macro_rules! pointer {
    ($($type:ty),*) => {$(
        impl<T: Schema + ?Sized> Schema for $type {
            const NAME: &'static str = T::NAME;
            const DESCRIPTION: &'static str = T::DESCRIPTION;
            const OPTIONAL: bool = T::OPTIONAL;
            const PLAIN: bool = T::PLAIN;
            fn id() -> &'static str {
                T::id()
            }
            fn write(to: &mut Writer) {
                T::write(to);
            }
            fn flatten(into: &mut Object<'_>) {
                T::flatten(into);
            }
        }
    )*};
}

pointer!(Box<T>, Rc<T>, Arc<T>, &T);

impl<T: Schema + ToOwned + ?Sized> Schema for Cow<'_, T> {
    const NAME: &'static str = T::NAME;
    const DESCRIPTION: &'static str = T::DESCRIPTION;
    const PLAIN: bool = T::PLAIN;
    fn id() -> &'static str {
        T::id()
    }
    fn write(to: &mut Writer) {
        T::write(to);
    }
}

macro_rules! list {
    ($($type:ty),*) => {$(
        impl<T: Schema> Schema for $type {
            const PLAIN: bool = true;
            fn write(to: &mut Writer) {
                to.kind("array");
                to.schema::<T>("items");
            }
        }
    )*};
}

list!([T], Vec<T>, VecDeque<T>);

impl<T: Schema> Schema for BTreeSet<T> {
    const PLAIN: bool = true;
    fn write(to: &mut Writer) {
        <[T]>::write(to);
        to.member("uniqueItems", "true");
    }
}

impl<T: Schema, S> Schema for HashSet<T, S> {
    const PLAIN: bool = true;
    fn write(to: &mut Writer) {
        BTreeSet::<T>::write(to);
    }
}

impl<T: Schema, const N: usize> Schema for [T; N] {
    const PLAIN: bool = true;
    fn write(to: &mut Writer) {
        to.kind("array");
        to.schema::<T>("items");
        let count = N.to_string();
        to.member("minItems", &count);
        to.member("maxItems", &count);
    }
}

// Keys of any type become strings in JSON.
impl<K, T: Schema> Schema for BTreeMap<K, T> {
    const PLAIN: bool = true;
    fn write(to: &mut Writer) {
        to.kind("object");
        to.schema::<T>("additionalProperties");
    }
    fn flatten(into: &mut Object<'_>) {
        into.others::<T>();
    }
}

impl<K, T: Schema, S> Schema for HashMap<K, T, S> {
    const PLAIN: bool = true;
    fn write(to: &mut Writer) {
        BTreeMap::<K, T>::write(to);
    }
    fn flatten(into: &mut Object<'_>) {
        into.others::<T>();
    }
}

macro_rules! tuple {
    ($($type:ident)*; $count:literal) => {
        impl<$($type: Schema),*> Schema for ($($type,)*) {
            const PLAIN: bool = true;
            fn write(to: &mut Writer) {
                to.kind("array");
                to.list("prefixItems", &|list| { $(list.schema::<$type>(&[]);)* });
                to.member("items", "false");
                to.member("minItems", $count);
            }
        }
    };
}

tuple!(A; "1");
tuple!(A B; "2");
tuple!(A B C; "3");
tuple!(A B C D; "4");
tuple!(A B C D E; "5");
tuple!(A B C D E F; "6");

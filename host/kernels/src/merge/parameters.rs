//! The methods' parameters, resolved for one tensor.

use super::recipe::{Setting, Settings};
use super::{Method, Model};
use crate::{Error, Misfit, Result, View};

/// Names that mergekit's methods know, and ours. What a method does not use is allowed, as it is there.
const KNOWN: [&str; 18] = [
    "weight",
    "density",
    "gamma",
    "epsilon",
    "scale",
    "t",
    "normalize",
    "rescale",
    "lambda",
    "int8_mask",
    "filter_wise",
    "nuslerp_flatten",
    "nuslerp_row_wise",
    "max_iter",
    "tol",
    "eps",
    "normalize_weights",
    "rescale_norm",
];

pub(super) fn known(settings: &Settings) -> Result<()> {
    for name in settings.0.keys() {
        if !KNOWN.contains(&name.as_str()) {
            return Err(Error::Recipe(Misfit::Parameter { name: name.clone(), reason: "is not known" }));
        }
    }
    Ok(())
}

/// What is said about one model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Own {
    /// How much it counts.
    pub weight: f64,
    /// The share of its differences that is kept.
    pub density: f64,
    /// The share of its largest differences that is left out (breadcrumbs).
    pub gamma: f64,
    /// How far the probability of being kept reaches to either side of the density (della).
    pub epsilon: f64,
    /// Factor of a tensor that is passed through.
    pub scale: Option<f64>,
}

/// What is said about the merge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Global {
    /// From the first (0) to the second (1), or the distance of `nearswap`.
    pub t: f64,
    /// Divide by the weights.
    pub normalize: bool,
    /// Make up for what was left out.
    pub rescale: bool,
    /// Factor of the summed differences.
    pub lambda: f64,
    /// `model_stock` row by row.
    pub filter_wise: bool,
    /// `nuslerp` over the whole tensor.
    pub flatten: bool,
    /// `nuslerp` along columns instead of rows.
    pub row_wise: bool,
    /// Rounds of `karcher`, at most.
    pub rounds: u32,
    /// When `karcher` is done.
    pub tolerance: f64,
}

/// Where a value may be written, the most particular first.
pub(super) struct Places<'a> {
    pub(super) tensor: &'a str,
    pub(super) depth: f64,
    pub(super) slice: &'a Settings,
    pub(super) recipe: &'a Settings,
}

fn wrong(name: &str, reason: &'static str) -> Error {
    Error::Recipe(Misfit::Parameter { name: name.to_owned(), reason })
}

impl Places<'_> {
    fn find(&self, input: Option<&Settings>, name: &str) -> Result<Option<f64>> {
        let found = input
            .into_iter()
            .chain([self.slice, self.recipe])
            .find_map(|settings| settings.0.get(name).and_then(|s: &Setting| s.at(self.tensor, self.depth)));
        match found {
            Some(value) if !value.is_finite() => Err(wrong(name, "is not finite")),
            found => Ok(found),
        }
    }

    pub(super) fn own(&self, method: Method, input: &Settings, counts: bool) -> Result<Own> {
        let get = |name| self.find(Some(input), name);
        let weight = match get("weight")? {
            Some(weight) => weight,
            None if counts && method.needs_weight() => return Err(wrong("weight", "is missing")),
            None => 1.0,
        };
        let own = Own {
            weight,
            density: get("density")?.unwrap_or(1.0),
            gamma: get("gamma")?.unwrap_or(0.01),
            epsilon: get("epsilon")?.unwrap_or(0.15),
            scale: get("scale")?,
        };
        own.check(method)?;
        Ok(own)
    }

    pub(super) fn global(&self, method: Method) -> Result<Global> {
        let get = |name| self.find(None, name);
        let switch = |name, usual: bool| Ok::<_, Error>(get(name)?.map_or(usual, |v| v != 0.0));
        let t = get("t")?;
        if t.is_none() && matches!(method, Method::Slerp | Method::Nearswap) {
            return Err(wrong("t", "is missing"));
        }
        let usual = Global::usual(method);
        Ok(Global {
            t: t.unwrap_or(usual.t),
            normalize: switch("normalize", switch("normalize_weights", usual.normalize)?)?,
            rescale: switch("rescale", usual.rescale)?,
            lambda: get("lambda")?.unwrap_or(usual.lambda),
            filter_wise: switch("filter_wise", usual.filter_wise)?,
            flatten: switch("nuslerp_flatten", usual.flatten)?,
            row_wise: switch("nuslerp_row_wise", usual.row_wise)?,
            rounds: get("max_iter")?.map_or(usual.rounds, |v| v.clamp(0.0, 1000.0) as u32),
            tolerance: get("tol")?.unwrap_or(usual.tolerance),
        })
    }
}

impl Default for Own {
    fn default() -> Self {
        Self { weight: 1.0, density: 1.0, gamma: 0.01, epsilon: 0.15, scale: None }
    }
}

impl Own {
    fn check(&self, method: Method) -> Result<()> {
        let within = |name: &str, value: f64| {
            if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(wrong(name, "is not between 0 and 1")) }
        };
        within("density", self.density)?;
        within("gamma", self.gamma)?;
        within("epsilon", self.epsilon)?;
        let della = matches!(method, Method::Della | Method::DellaLinear) && self.density < 1.0;
        if della && (self.density + self.epsilon >= 1.0 || self.density - self.epsilon <= 0.0) {
            return Err(wrong("epsilon", "reaches beyond 0 or 1 from the density"));
        }
        Ok(())
    }
}

impl Global {
    /// What a method does when nothing is said.
    pub fn usual(method: Method) -> Self {
        Self {
            t: 0.5,
            normalize: matches!(method, Method::Linear | Method::Ties | Method::Della | Method::Multislerp),
            rescale: matches!(method, Method::DareLinear | Method::DareTies | Method::Della | Method::DellaLinear),
            lambda: 1.0,
            filter_wise: false,
            flatten: true,
            row_wise: false,
            rounds: 10,
            tolerance: 1e-5,
        }
    }
}

/// Reads the parameters of a single merge: a JSON object of mergekit's names; what is said per model is a list.
pub(super) fn from_json(method: Method, count: usize, text: &str) -> Result<(Global, Vec<Own>, u64)> {
    let mut pairs = serde_json::Map::new();
    if !text.trim().is_empty() {
        pairs = serde_json::from_str(text).map_err(|e| Error::Recipe(Misfit::Yaml(e.to_string())))?;
    }
    let (mut common, mut own, mut seed) = (Settings::default(), vec![Settings::default(); count], 0);
    for (name, value) in pairs {
        let number = |value: &serde_json::Value| match value {
            serde_json::Value::Bool(on) => Ok(Setting::Switch(*on)),
            value => value.as_f64().map(Setting::Number).ok_or_else(|| wrong(&name, "is not a number")),
        };
        match &value {
            value if name == "seed" => seed = value.as_u64().ok_or_else(|| wrong("seed", "is not a whole number"))?,
            serde_json::Value::Array(list) if list.len() == count => {
                for (own, value) in own.iter_mut().zip(list) {
                    own.0.insert(name.clone(), number(value)?);
                }
            }
            serde_json::Value::Array(_) => return Err(wrong(&name, "does not have one value for each tensor")),
            value => {
                common.0.insert(name.clone(), number(value)?);
            }
        }
    }
    known(&common)?;
    own.iter().try_for_each(known)?;
    let none = Settings::default();
    let places = Places { tensor: "", depth: 1.0, slice: &none, recipe: &common };
    let own = own.iter().map(|own| places.own(method, own, true)).collect::<Result<_>>()?;
    Ok((places.global(method)?, own, seed))
}

impl<'a> super::Ask<'a> {
    /// A merge of single tensors, with parameters in JSON.
    pub fn from_json(method: Method, base: Option<View<'a>>, tensors: Vec<View<'a>>, parameters: &str) -> Result<Self> {
        let (global, own, seed) = from_json(method, tensors.len(), parameters)?;
        let models = tensors
            .into_iter()
            .zip(own)
            .enumerate()
            .map(|(number, (view, own))| Model { view, own, number: number as u64, mask: None })
            .collect();
        Ok(Self { method, name: "", base, models, global, seed, fused: false })
    }
}

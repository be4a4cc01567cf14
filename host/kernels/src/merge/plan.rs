//! From a recipe and its opened models to the list of tensors to make. Everything is checked here, before any work.

use std::collections::HashSet;

use super::method::{Ask, Method, Model};
use super::parameters::{Global, Own, Places};
use super::recipe::{Recipe, Slice};
use crate::{Error, Fault, Format, Misfit, Result, Weights};

/// Where one part of a result comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The model: its place among [`Recipe::models`].
    pub model: usize,
    /// The tensor's name there.
    pub tensor: String,
    own: Own,
    number: u64,
}

/// One tensor of the result.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// How it is kept.
    pub format: Format,
    /// What it is made of; without the base.
    pub sources: Vec<Source>,
    /// What differences are from.
    pub base: Option<Source>,
    global: Global,
}

/// The tensors to make, in their order in the file.
pub struct Plan<'a> {
    /// The models, in the order of [`Recipe::models`].
    pub models: Vec<&'a Weights>,
    /// The tensors.
    pub targets: Vec<Target>,
    /// Layers of the result, if the recipe puts layers together.
    pub layers: Option<u32>,
    /// Masks that take the place of chance and rank: asked for with the model's name and the tensor's.
    pub masks: Option<&'a dyn Masks>,
    names: Vec<String>,
    method: Method,
    seed: u64,
    fused: bool,
}

/// What is kept of each model, decided elsewhere.
pub trait Masks {
    /// One bit an element, the first one lowest. None leaves the choice to the method.
    fn mask(&self, model: &str, tensor: &str) -> Option<&[u8]>;
}

/// Tensors of a result, at most: slices can name the same layers as often as they like.
const TARGETS: usize = 1 << 20;

/// A tensor's layer, and its name around the number.
struct Layer<'n> {
    before: &'n str,
    number: u32,
    after: &'n str,
}

/// What families of models call the list of their layers.
const LISTS: [&str; 5] = ["layers", "h", "blocks", "blk", "layer"];

fn layer(name: &str) -> Option<Layer<'_>> {
    let mut at = 0;
    let mut previous = "";
    for word in name.split('.') {
        let end = at + word.len();
        if LISTS.contains(&previous)
            && let Ok(number) = word.parse()
        {
            return Some(Layer { before: &name[..at], number, after: &name[end..] });
        }
        (previous, at) = (word, end + 1);
    }
    None
}

/// Whether a tensor outside of the layers comes before them.
fn is_before(name: &str) -> bool {
    ["embed", "wte", "wpe", "embd"].iter().any(|word| name.contains(word))
}

/// Tensors that some files have and others leave out, without harm.
fn is_optional(name: &str) -> bool {
    name.ends_with("lm_head.weight") || name.ends_with("inv_freq") || name == "output.weight"
}

impl<'a> Plan<'a> {
    /// `models` are in the order of [`Recipe::models`].
    pub fn new(recipe: &Recipe, models: Vec<&'a Weights>) -> Result<Self> {
        let names = recipe.models();
        if names.len() != models.len() {
            return Err(super::recipe::needs(recipe.method, "every model that it names"));
        }
        let mut plan = Self {
            models,
            targets: Vec::new(),
            layers: None,
            masks: None,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            method: recipe.method,
            seed: recipe.seed,
            fused: recipe.fused,
        };
        let maker = Maker { recipe, names };
        if recipe.sliced {
            maker.slices(&mut plan)?;
        } else {
            maker.whole(&mut plan)?;
        }
        let mut seen = HashSet::new();
        for target in &plan.targets {
            if !seen.insert(&target.name) {
                return Err(Error::tensor(&target.name, Fault::Twice));
            }
        }
        Ok(plan)
    }

    /// The merge of one tensor.
    pub fn ask<'p>(&'p self, target: &'p Target) -> Result<Ask<'p>> {
        let view = |source: &'p Source| self.models[source.model].tensor(&source.tensor);
        let mut models = Vec::new();
        for source in &target.sources {
            let mask = self.masks.and_then(|masks| masks.mask(&self.names[source.model], &target.name));
            models.push(Model { view: view(source)?, own: source.own, number: source.number, mask });
        }
        let base = target.base.as_ref().map(view).transpose()?;
        let method = if self.is_copied(target) { Method::Passthrough } else { self.method };
        if method == Method::Passthrough {
            models.truncate(1);
        }
        Ok(Ask {
            method,
            name: &target.name,
            base: if method == Method::Passthrough { None } else { base },
            models,
            global: target.global,
            seed: self.seed,
            fused: self.fused,
        })
    }

    /// Whole numbers (positions, tables) are not weights: the first model's are taken as they are.
    pub fn is_copied(&self, target: &Target) -> bool {
        !target.format.is_float()
    }
}

struct Maker<'r> {
    recipe: &'r Recipe,
    names: Vec<&'r str>,
}

impl Maker<'_> {
    /// All tensors of all models, none renamed.
    fn whole(&self, plan: &mut Plan<'_>) -> Result<()> {
        let slice = &self.recipe.slices[0];
        let models = self.places(slice);
        let first = plan.models[models[0]];
        let last = last_layer(first);
        for info in first.infos() {
            let depth = match layer(&info.name) {
                Some(layer) => depth(layer.number, last.map_or(1, |n| n + 1)),
                None if is_before(&info.name) => 0.0,
                None => 1.0,
            };
            let names = vec![info.name.clone(); models.len()];
            let target = self.target(plan, info.name.clone(), slice, &names, depth)?;
            plan.targets.push(target);
        }
        for place in &models[1..] {
            let model = plan.models[*place];
            let extra = model.infos().iter().find(|i| !first.contains(&i.name) && !is_optional(&i.name));
            if let Some(extra) = extra {
                let file = first.path().display().to_string();
                return Err(Error::tensor(&extra.name, Fault::Missing(file)));
            }
        }
        Ok(())
    }

    /// Layers put together; what is before them from the first slice, what is after from the last.
    fn slices(&self, plan: &mut Plan<'_>) -> Result<()> {
        let slices = &self.recipe.slices;
        let (first, last) = (&slices[0], &slices[slices.len() - 1]);
        self.outside(plan, first, true)?;
        let mut made = 0;
        for slice in slices {
            let ranges: Vec<[u32; 2]> = slice.sources.iter().filter_map(|input| input.layer_range).collect();
            let model = plan.models[self.places(slice)[0]];
            let [from, to] = ranges[0];
            for i in 0..to - from {
                let mut found = false;
                for info in model.infos() {
                    let Some(layer) = layer(&info.name).filter(|layer| layer.number == from + i) else { continue };
                    found = true;
                    let rename = |number: u32| format!("{}{number}{}", layer.before, layer.after);
                    let names: Vec<String> = ranges.iter().map(|[from, _]| rename(from + i)).collect();
                    let target = self.target(plan, rename(made + i), slice, &names, depth(i, to - from))?;
                    plan.targets.push(target);
                }
                if plan.targets.len() > TARGETS {
                    let reason = "make more tensors than any model has";
                    let name = "slices".to_owned();
                    return Err(Error::Recipe(Misfit::Parameter { name, reason }));
                }
                if !found {
                    let file = model.path().display().to_string();
                    return Err(Error::tensor(format!("layer {}", from + i), Fault::Missing(file)));
                }
            }
            made += to - from;
        }
        plan.layers = Some(made);
        self.outside(plan, last, false)
    }

    fn outside(&self, plan: &mut Plan<'_>, slice: &Slice, before: bool) -> Result<()> {
        let places = self.places(slice);
        let model = plan.models[places[0]];
        for info in model.infos() {
            if layer(&info.name).is_some() || is_before(&info.name) != before {
                continue;
            }
            let names = vec![info.name.clone(); places.len()];
            let depth = if before { 0.0 } else { 1.0 };
            let target = self.target(plan, info.name.clone(), slice, &names, depth)?;
            plan.targets.push(target);
        }
        Ok(())
    }

    fn places(&self, slice: &Slice) -> Vec<usize> {
        let place = |name: &str| self.names.iter().position(|n| *n == name).unwrap_or(0);
        slice.sources.iter().map(|input| place(input.model.text())).collect()
    }

    /// `names` are the tensor's names in the slice's sources.
    fn target(&self, plan: &Plan<'_>, name: String, slice: &Slice, names: &[String], depth: f64) -> Result<Target> {
        let method = self.recipe.method;
        let base_name = slice.base_model.as_ref().map(|n| n.text()).or(self.recipe.base.as_deref());
        let places = Places { tensor: &name, depth, slice: &slice.parameters, recipe: &self.recipe.parameters };
        let (mut sources, mut base) = (Vec::new(), None);
        let mut first: Option<(Vec<u64>, Format)> = None;
        for ((input, model), tensor) in slice.sources.iter().zip(self.places(slice)).zip(names) {
            let weights = plan.models[model];
            let tensor = present(weights, tensor)?;
            let view = weights.tensor(&tensor)?;
            let (shape, _) = first.get_or_insert_with(|| (view.shape.to_vec(), view.format));
            if *shape != view.shape {
                let place = weights.path().display().to_string();
                let fault = Fault::Shape { expected: shape.clone(), found: view.shape.to_vec(), place };
                return Err(Error::tensor(&name, fault));
            }
            let is_base = method.takes_base() && base_name == Some(input.model.text());
            let own = places.own(method, &input.parameters, !is_base)?;
            let number = model as u64;
            let source = Source { model, tensor, own, number };
            if is_base { base = Some(source) } else { sources.push(source) }
        }
        let (shape, kept) = first.ok_or_else(|| super::recipe::needs(method, "at least one model"))?;
        let global = places.global(method)?;
        let format = match self.recipe.format {
            Some(format) if kept.is_float() => format,
            _ => kept,
        };
        // What one model merged with itself would be: a merge needs others, a copied table does not.
        if sources.is_empty() && base.is_some() {
            return Err(Error::Recipe(Misfit::Needs {
                method: method.name().to_owned(),
                need: "a model besides the base",
            }));
        }
        Ok(Target { name, shape, format, sources, base, global })
    }
}

/// A tensor's name in a model; where the output shares the embedding's weights, the embedding's.
fn present(weights: &Weights, name: &str) -> Result<String> {
    if weights.contains(name) {
        return Ok(name.to_owned());
    }
    let tied = match name {
        "lm_head.weight" => "model.embed_tokens.weight",
        "output.weight" => "token_embd.weight",
        _ => name,
    };
    weights
        .tensor(tied)
        .map(|_| tied.to_owned())
        .map_err(|_| Error::tensor(name, Fault::Missing(weights.path().display().to_string())))
}

fn last_layer(weights: &Weights) -> Option<u32> {
    weights.infos().iter().filter_map(|info| layer(&info.name).map(|l| l.number)).max()
}

fn depth(number: u32, count: u32) -> f64 {
    if count > 1 { f64::from(number) / f64::from(count - 1) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_found_in_every_family_of_names() {
        for (name, number) in [
            ("model.layers.12.mlp.up_proj.weight", 12),
            ("transformer.h.3.attn.c_attn.weight", 3),
            ("blk.7.attn_v.weight", 7),
            ("encoder.layer.0.output.dense.weight", 0),
        ] {
            let layer = layer(name).expect("has a layer");
            assert_eq!(layer.number, number);
            assert_eq!(format!("{}{number}{}", layer.before, layer.after), name);
        }
        assert!(layer("model.embed_tokens.weight").is_none());
        assert!(layer("model.layers.norm.weight").is_none());
    }
}

//! The methods by name, and what is asked of one.

use std::str::FromStr;

use super::parameters::{Global, Own};
use super::recipe::needs;
use crate::{Error, Misfit, Result, View};

macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident $name:literal;)*) => {
        /// A way to merge.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Method { $($(#[$doc])* $variant,)* }

        impl Method {
            /// Every method.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// mergekit's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

methods! {
    /// Weighted mean.
    Linear "linear";
    /// Along the great circle between two tensors.
    Slerp "slerp";
    /// The same with weights, of tensors or of their differences from a base.
    Nuslerp "nuslerp";
    /// The same for many, in the plane that touches their mean.
    Multislerp "multislerp";
    /// Base plus weighted differences.
    TaskArithmetic "task_arithmetic";
    /// Largest differences, one sign.
    Ties "ties";
    /// Random differences.
    DareLinear "dare_linear";
    /// Random differences, one sign.
    DareTies "dare_ties";
    /// Random differences, large ones more likely, one sign.
    Della "della";
    /// Random differences, large ones more likely.
    DellaLinear "della_linear";
    /// Neither the largest nor the smallest differences.
    Breadcrumbs "breadcrumbs";
    /// Neither the largest nor the smallest differences, one sign.
    BreadcrumbsTies "breadcrumbs_ties";
    /// From the base towards the mean, as far as the models agree.
    ModelStock "model_stock";
    /// One model as it is.
    Passthrough "passthrough";
    /// Towards the other where both are near.
    Nearswap "nearswap";
    /// The mean on the sphere.
    Karcher "karcher";
}

impl Method {
    /// Uses a base if there is one.
    pub const fn takes_base(self) -> bool {
        !matches!(self, Self::Linear | Self::Passthrough | Self::Karcher)
    }

    /// Makes no sense without a base.
    pub const fn needs_base(self) -> bool {
        self.takes_base() && !matches!(self, Self::Nuslerp | Self::Multislerp)
    }

    pub(super) const fn needs_weight(self) -> bool {
        matches!(self, Self::Linear | Self::Nuslerp) || self.is_task()
    }

    /// Sums differences from the base.
    const fn is_task(self) -> bool {
        self.votes() || matches!(self, Self::TaskArithmetic | Self::DareLinear | Self::DellaLinear | Self::Breadcrumbs)
    }

    pub(super) const fn votes(self) -> bool {
        matches!(self, Self::Ties | Self::DareTies | Self::Della | Self::BreadcrumbsTies)
    }

    /// How many models besides the base it takes.
    pub(super) fn check(self, base: bool, models: usize) -> Result<()> {
        if self.needs_base() && !base {
            return Err(needs(self, "a base model"));
        }
        let need = match self {
            Self::Slerp | Self::Nearswap if models != 1 => "a base model and exactly one other",
            Self::Nuslerp if models != 2 => "exactly two models",
            Self::Passthrough if models != 1 => "exactly one model",
            Self::ModelStock if models < 2 => "at least two models besides the base",
            _ if models == 0 => "at least one model",
            _ => return Ok(()),
        };
        Err(needs(self, need))
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.iter().copied().find(|method| method.name() == name);
        found.ok_or_else(|| Error::Recipe(Misfit::Method(name.to_owned())))
    }
}

/// One model's tensor, and what is said about the model.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// The tensor.
    pub view: View<'a>,
    /// What is said.
    pub own: Own,
    /// Its place in the recipe; part of the key of chance.
    pub number: u64,
    /// Takes the place of whatever the method would leave out: one bit an element, the first one lowest.
    pub mask: Option<&'a [u8]>,
}

/// What to merge into one tensor.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// How.
    pub method: Method,
    /// The result's name; part of the key of chance.
    pub name: &'a str,
    /// What differences are from.
    pub base: Option<View<'a>>,
    /// The others, in the recipe's order.
    pub models: Vec<Model<'a>>,
    /// What is said about the merge.
    pub global: Global,
    /// Of the random methods.
    pub seed: u64,
    /// See [`Linear::fused`].
    pub fused: bool,
}

impl<'a> Ask<'a> {
    /// One tensor as it is.
    pub fn copy(view: View<'a>) -> Self {
        let model = Model { view, own: Own::default(), number: 0, mask: None };
        let global = Global::usual(Method::Passthrough);
        Self {
            method: Method::Passthrough,
            name: view.name,
            base: None,
            models: vec![model],
            global,
            seed: 0,
            fused: false,
        }
    }
}

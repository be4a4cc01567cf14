//! The normal distribution.

/// The standard normal quantile for 0 < p < 1, by Acklam's rational approximations (relative error below 1.2e-9).
pub(crate) fn quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.38357751867269e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 6] = [
        -5.447609879822406e1,
        1.615858368580409e2,
        -1.556989798598866e2,
        6.680131188771972e1,
        -1.328068155288572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 5] = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416, 1.0];
    const TAIL: f64 = 0.02425;

    if p > 1.0 - TAIL {
        return -quantile(1.0 - p);
    }
    if p < TAIL {
        let q = (-2.0 * p.ln()).sqrt();
        return polynomial(&C, q) / polynomial(&D, q);
    }
    let q = p - 0.5;
    q * polynomial(&A, q * q) / polynomial(&B, q * q)
}

/// The highest power first.
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// How likely a value is, but for its unit.
fn density(z: f64) -> f64 {
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// The chance of more than z, to 14 digits of itself: what is left out of a series is too small near 0, and a continued
/// fraction is quick far from it.
pub(crate) fn above(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - above(-z);
    }
    if z < 2.5 {
        // φ(z) × (z + z³/3 + z⁵/15 + …)
        let (mut term, mut sum, mut odd) = (z, z, 1.0);
        while term > sum * 1e-17 {
            odd += 2.0;
            term *= z * z / odd;
            sum += term;
        }
        return 0.5 - density(z) * sum;
    }
    let fraction = (1..=200).rev().fold(z, |rest, step| z + f64::from(step) / rest);
    density(z) / fraction
}

/// By how much a value is above z on average, counting nothing where it is not.
pub(crate) fn excess(z: f64) -> f64 {
    density(z) - z * above(z)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantiles_agree_with_the_published_table() {
        for (p, z) in [
            (0.5, 0.0),
            (0.8, 0.8416212336),
            (0.9, 1.2815515655),
            (0.95, 1.6448536270),
            (0.975, 1.9599639845),
            (0.99, 2.3263478740),
            (0.999, 3.0902323062),
            (0.9999, 3.7190164855),
            (0.01, -2.3263478740),
        ] {
            assert!((quantile(p) - z).abs() < 1e-8, "{p}: {}", quantile(p));
        }
    }

    #[test]
    fn the_tail_is_what_the_quantile_says() {
        for step in 1..1000 {
            let p = f64::from(step) / 1000.0;
            assert!((above(quantile(p)) - (1.0 - p)).abs() < 1e-9, "{p}");
        }
        // Published to twelve digits.
        assert!((above(5.0) / 2.86651571879e-7 - 1.0).abs() < 1e-11, "{}", above(5.0));
        assert!((above(2.4999999) / above(2.5000001) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn the_excess_agrees_with_the_published_table() {
        for (z, excess_there) in [(0.0, 0.3989), (0.5, 0.1978), (1.0, 0.0833), (1.5, 0.0293), (2.0, 0.0085)] {
            assert!((excess(z) - excess_there).abs() < 5e-5, "{z}: {}", excess(z));
        }
    }
}

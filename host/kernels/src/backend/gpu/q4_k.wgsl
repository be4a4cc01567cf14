// One sub-block of 32 to an invocation, eight super-blocks to a group.

@group(0) @binding(3) var<storage, read_write> result: array<u32>;

const TOP: i32 = 15;
const STEPS: u32 = 21u;
// 2⁻²⁸, and 2⁻¹⁶ and 2⁸ for a sub-block's largest: between them everything that the search computes is a zero or far
// above 2⁻¹²⁶.
const LEAST: u32 = 0x31800000u;
const LEAST_TOP: u32 = 0x37800000u;
const MOST_TOP: u32 = 0x43800000u;

// The numbers; 33 places for 32, so that columns fall on different banks.
var<workgroup> xs: array<f32, 2112>;
var<workgroup> scales: array<f32, 64>;
var<workgroup> mins: array<f32, 64>;
// Four codes a word, eight words a sub-block.
var<workgroup> codes: array<u32, 512>;
// Scales and minima of the super-blocks, as they are kept.
var<workgroup> heads: array<u32, 32>;

// A product must be sealed by whoever brings it, and once: two seals undo each other.
fn nearest(v: f32) -> i32 {
    return i32(bitcast<u32>(v + 12582912.0) & 0x7fffffu) - 0x400000;
}

fn code_of(by: f32, above: f32) -> i32 {
    return clamp(nearest(seal(by * above)), 0, TOP);
}

// Scale and minimum (its negative), and how to make the codes: an inverse scale and what is subtracted before.
fn search(at: u32) -> vec4<f32> {
    var squares = 0.0;
    var low = xs[at];
    var high = xs[at];
    for (var i = 0u; i < 32u; i++) {
        let x = xs[at + i];
        squares += seal(x * x);
        low = select(low, x, x < low);
        high = select(high, x, x > high);
    }
    let level = root(squares * 0.03125);
    var sum_w = level + abs(xs[at]);
    var sum_x = seal(sum_w * xs[at]);
    for (var i = 1u; i < 32u; i++) {
        let x = xs[at + i];
        let w = level + abs(x);
        sum_w += w;
        sum_x += seal(w * x);
    }
    low = select(low, 0.0, low > 0.0);
    if high == low {
        return vec4<f32>(0.0, -low, 0.0, 0.0);
    }
    let first = divide(15.0, high - low);
    var scale = divide(1.0, first);
    var best = 0.0;
    for (var i = 0u; i < 32u; i++) {
        let x = xs[at + i];
        let diff = seal(scale * f32(code_of(first, x - low))) + low - x;
        best += seal((level + abs(x)) * seal(diff * diff));
    }
    var best_by = first;
    var best_low = low;
    for (var step = 0u; step < STEPS; step++) {
        let by = divide(number(256u + step), high - low);
        var sum_l = 0.0;
        var sum_l2 = 0.0;
        var sum_xl = 0.0;
        // Eight codes a word.
        var trial: array<u32, 4>;
        for (var k = 0u; k < 4u; k++) {
            var word = 0u;
            for (var n = 0u; n < 8u; n++) {
                let x = xs[at + k * 8u + n];
                let code = code_of(by, x - low);
                word |= u32(code) << (4u * n);
                let l = f32(code);
                let weighted = seal((level + abs(x)) * l);
                sum_l += weighted;
                sum_l2 += seal(weighted * l);
                sum_xl += seal(weighted * x);
            }
            trial[k] = word;
        }
        let d = seal(sum_w * sum_l2) - seal(sum_l * sum_l);
        if d > 0.0 {
            var this_scale = divide(seal(sum_w * sum_xl) - seal(sum_x * sum_l), d);
            var this_low = divide(seal(sum_l2 * sum_x) - seal(sum_l * sum_xl), d);
            if this_low > 0.0 {
                this_low = 0.0;
                this_scale = divide(sum_xl, sum_l2);
            }
            var now = 0.0;
            for (var k = 0u; k < 4u; k++) {
                let word = trial[k];
                for (var n = 0u; n < 8u; n++) {
                    let x = xs[at + k * 8u + n];
                    let diff = seal(this_scale * f32((word >> (4u * n)) & 15u)) + this_low - x;
                    now += seal((level + abs(x)) * seal(diff * diff));
                }
            }
            if now < best {
                best = now;
                best_by = by;
                best_low = low;
                scale = this_scale;
                low = this_low;
            }
        }
    }
    return vec4<f32>(scale, -low, best_by, best_low);
}

// Whether a sub-block's numbers are ones that a device could fail with.
fn is_hard(at: u32) -> bool {
    var smallest = 0xffffffffu;
    var largest = 0u;
    for (var i = 0u; i < 32u; i++) {
        let size = bitcast<u32>(xs[at + i]) & 0x7fffffffu;
        smallest = min(smallest, size - 1u);
        largest = max(largest, size);
    }
    return is_below(smallest, LEAST) || is_below(largest - 1u, LEAST_TOP) || largest > MOST_TOP;
}

// Whether a scale or minimum is not zero, and too small.
fn is_faint(x: f32) -> bool {
    return is_below((bitcast<u32>(x) & 0x7fffffffu) - 1u, LEAST_PEAK);
}

fn six(by: f32, v: f32) -> u32 {
    return min(bitcast<u32>(nearest(seal(by * v))) & 255u, 63u);
}

fn steps_of(largest: f32) -> f32 {
    if largest > 0.0 {
        return divide(63.0, largest);
    }
    return 0.0;
}

// The first four words of a super-block, whose sub-blocks begin with `first`.
fn head(block: u32, first: u32, by_scale: f32, by_min: f32, d_bits: u32, dmin_bits: u32) {
    var words = vec4<u32>(d_bits | (dmin_bits << 16u), 0u, 0u, 0u);
    for (var n = 0u; n < 4u; n++) {
        let s = six(by_scale, scales[first + n]);
        let m = six(by_min, mins[first + n]);
        let s4 = six(by_scale, scales[first + n + 4u]);
        let m4 = six(by_min, mins[first + n + 4u]);
        words.y |= (s | ((s4 >> 4u) << 6u)) << (8u * n);
        words.z |= (m | ((m4 >> 4u) << 6u)) << (8u * n);
        words.w |= ((s4 & 15u) | ((m4 & 15u) << 4u)) << (8u * n);
    }
    heads[block * 4u] = words.x;
    heads[block * 4u + 1u] = words.y;
    heads[block * 4u + 2u] = words.z;
    heads[block * 4u + 3u] = words.w;
}

// Word `w` of the group's: a super-block is thirty-six.
fn word(w: u32) -> u32 {
    let block = w / 36u;
    let r = w % 36u;
    if r < 4u {
        return heads[block * 4u + r];
    }
    let low = (block * 8u + (r - 4u) / 8u * 2u) * 8u + ((r - 4u) & 7u);
    return codes[low] | (codes[low + 8u] << 4u);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    for (var k = 0u; k < 8u; k++) {
        let q = k * 64u + local;
        var x = vec4<f32>(0.0);
        if (group.x * 512u + q) * 4u < params[0] {
            x = bitcast<vec4<f32>>(values[group.x * 512u + q]);
        }
        let at = (q / 8u) * 33u + (q & 7u) * 4u;
        xs[at] = x.x;
        xs[at + 1u] = x.y;
        xs[at + 2u] = x.z;
        xs[at + 3u] = x.w;
    }
    workgroupBarrier();
    let at = local * 33u;
    let found = search(at);
    scales[local] = found.x;
    mins[local] = found.y;
    if is_hard(at) || is_faint(found.x) || is_faint(found.y) {
        mark(group.x);
    }
    workgroupBarrier();

    let first = local & 56u;
    var scale = 0.0;
    var low = 0.0;
    for (var j = 0u; j < 8u; j++) {
        scale = max(scale, scales[first + j]);
        low = max(low, mins[first + j]);
    }
    let by_scale = steps_of(scale);
    let by_min = steps_of(low);
    let d_bits = half_bits(divide(scale, 63.0));
    let dmin_bits = half_bits(divide(low, 63.0));
    let d = seal(from_half(d_bits) * f32(six(by_scale, found.x)));
    let dm = seal(from_half(dmin_bits) * f32(six(by_min, found.y)));
    for (var k = 0u; k < 8u; k++) {
        var word = 0u;
        for (var n = 0u; n < 4u; n++) {
            let x = xs[at + k * 4u + n];
            // Where the scale that is kept is none, the search's codes stay.
            var code = code_of(found.z, x - found.w);
            if d != 0.0 {
                code = clamp(nearest(divide(x + dm, d)), 0, TOP);
            }
            word |= u32(code) << (8u * n);
        }
        codes[local * 8u + k] = word;
    }
    if (local & 7u) == 0u {
        head(local / 8u, first, by_scale, by_min, d_bits, dmin_bits);
    }
    workgroupBarrier();
    let total = params[0] / 256u * 36u;
    for (var w = local; w < 288u; w += 64u) {
        if group.x * 288u + w < total {
            result[group.x * 288u + w] = word(w);
        }
    }
}

// One sub-block of 32 to an invocation, eight super-blocks to a group.

const TOP: i32 = 15;
const STEPS: u32 = 21u;

var<workgroup> scales: array<f32, 64>;
var<workgroup> mins: array<f32, 64>;
// Four codes a word, eight words a sub-block.
var<workgroup> codes: array<u32, 512>;

var<private> x: array<f32, 32>;
var<private> w: array<f32, 32>;
var<private> found: array<i32, 32>;
var<private> trial: array<i32, 32>;

fn nearest(v: f32) -> i32 {
    return i32(bitcast<u32>(seal(v) + 12582912.0) & 0x7fffffu) - 0x400000;
}

fn error_of(codes_are_trial: bool, scale: f32, low: f32) -> f32 {
    var sum = 0.0;
    for (var i = 0u; i < 32u; i++) {
        let l = f32(select(found[i], trial[i], codes_are_trial));
        let diff = seal(scale * l) + low - x[i];
        sum += seal(w[i] * seal(diff * diff));
    }
    return sum;
}

// Scale and minimum (its negative), and the codes in `found`.
fn search() -> vec2<f32> {
    var squares = 0.0;
    for (var i = 0u; i < 32u; i++) {
        squares += seal(x[i] * x[i]);
    }
    let level = root(squares * 0.03125);
    var low = x[0];
    var high = x[0];
    var sum_w = 0.0;
    var sum_x = 0.0;
    for (var i = 0u; i < 32u; i++) {
        w[i] = level + abs(x[i]);
        low = select(low, x[i], x[i] < low);
        high = select(high, x[i], x[i] > high);
        let product = seal(w[i] * x[i]);
        sum_w = select(sum_w + w[i], w[i], i == 0u);
        sum_x = select(sum_x + product, product, i == 0u);
    }
    low = select(low, 0.0, low > 0.0);
    if high == low {
        for (var i = 0u; i < 32u; i++) {
            found[i] = 0;
        }
        return vec2<f32>(0.0, -low);
    }
    let first = divide(15.0, high - low);
    var scale = divide(1.0, first);
    for (var i = 0u; i < 32u; i++) {
        found[i] = clamp(nearest(seal(first * (x[i] - low))), 0, TOP);
    }
    var best = error_of(false, scale, low);
    for (var step = 0u; step < STEPS; step++) {
        let by = divide(number(256u + step), high - low);
        var sum_l = 0.0;
        var sum_l2 = 0.0;
        var sum_xl = 0.0;
        for (var i = 0u; i < 32u; i++) {
            let code = clamp(nearest(seal(by * (x[i] - low))), 0, TOP);
            trial[i] = code;
            let l = f32(code);
            let weighted = seal(w[i] * l);
            sum_l += weighted;
            sum_l2 += seal(weighted * l);
            sum_xl += seal(weighted * x[i]);
        }
        let d = seal(sum_w * sum_l2) - seal(sum_l * sum_l);
        if d > 0.0 {
            var this_scale = divide(seal(sum_w * sum_xl) - seal(sum_x * sum_l), d);
            var this_low = divide(seal(sum_l2 * sum_x) - seal(sum_l * sum_xl), d);
            if this_low > 0.0 {
                this_low = 0.0;
                this_scale = divide(sum_xl, sum_l2);
            }
            let now = error_of(true, this_scale, this_low);
            if now < best {
                best = now;
                scale = this_scale;
                low = this_low;
                for (var i = 0u; i < 32u; i++) {
                    found[i] = trial[i];
                }
            }
        }
    }
    return vec2<f32>(scale, -low);
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

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let sub = group.x * 64u + local;
    let on = sub * 32u < params[0];
    var both = vec2<f32>(0.0, 0.0);
    if on {
        for (var i = 0u; i < 32u; i++) {
            x[i] = value(sub * 32u + i);
        }
        both = search();
    }
    scales[local] = both.x;
    mins[local] = both.y;
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
    let d = seal(from_half(d_bits) * f32(six(by_scale, both.x)));
    let dm = seal(from_half(dmin_bits) * f32(six(by_min, both.y)));
    for (var k = 0u; k < 8u; k++) {
        var word = 0u;
        for (var n = 0u; n < 4u; n++) {
            var code = found[k * 4u + n];
            if d != 0.0 {
                code = clamp(nearest(divide(x[k * 4u + n] + dm, d)), 0, TOP);
            }
            word |= u32(code) << (8u * n);
        }
        codes[local * 8u + k] = word;
    }
    workgroupBarrier();
    if !on {
        return;
    }
    let j = local & 7u;
    let place = (sub / 8u) * 36u;
    if j == 0u {
        result[place] = d_bits | (dmin_bits << 16u);
        var low_words = vec3<u32>(0u, 0u, 0u);
        for (var n = 0u; n < 4u; n++) {
            let s = six(by_scale, scales[first + n]);
            let m = six(by_min, mins[first + n]);
            let s4 = six(by_scale, scales[first + n + 4u]);
            let m4 = six(by_min, mins[first + n + 4u]);
            low_words.x |= (s | ((s4 >> 4u) << 6u)) << (8u * n);
            low_words.y |= (m | ((m4 >> 4u) << 6u)) << (8u * n);
            low_words.z |= ((s4 & 15u) | ((m4 & 15u) << 4u)) << (8u * n);
        }
        result[place + 1u] = low_words.x;
        result[place + 2u] = low_words.y;
        result[place + 3u] = low_words.z;
    }
    if (j & 1u) == 0u {
        for (var k = 0u; k < 8u; k++) {
            result[place + 4u + (j / 2u) * 8u + k] = codes[local * 8u + k] | (codes[(local + 1u) * 8u + k] << 4u);
        }
    }
}

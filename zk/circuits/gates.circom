pragma circom 2.1.6;
// Integers in a prime field: every comparison and division proves its ranges. Widths are in bits; a caller answers for
// its operands being that narrow (inputs are, because the commitment fixes them).

template Bits(n) {
    signal input in;
    signal output out[n];
    var sum = 0;
    for (var i = 0; i < n; i++) {
        out[i] <-- (in >> i) & 1;
        out[i] * (out[i] - 1) === 0;
        sum += out[i] * (1 << i);
    }
    sum === in;
}

template InRange(n) {
    signal input in;
    signal bits[n] <== Bits(n)(in);
}

template IsZero() {
    signal input in;
    signal output out;
    signal inverse <-- in != 0 ? 1 / in : 0;
    out <== 1 - in * inverse;
    in * out === 0;
}

// a < b for 0 <= a, b < 2^n
template Less(n) {
    signal input a;
    signal input b;
    signal output out;
    signal bits[n + 1] <== Bits(n + 1)(a - b + (1 << n));
    out <== 1 - bits[n];
}

// a > 0 for |a| < 2^n
template Positive(n) {
    signal input a;
    signal output out;
    signal bits[n + 1] <== Bits(n + 1)(a - 1 + (1 << n));
    out <== bits[n];
}

// floor(a / b) for 0 <= a, 0 < b <= 2^R, quotient below 2^Q; Q + R < 253. A b of 0 gives 0.
template Divide(Q, R) {
    signal input a;
    signal input b;
    signal output out;
    signal zero <== IsZero()(b);
    signal top <== a - a * zero;
    out <-- top \ (b + zero);
    signal rest <-- top % (b + zero);
    out * (b + zero) === top - rest;
    InRange(Q)(out);
    InRange(R)(rest);
    InRange(R)(b + zero - 1 - rest);
}

// The same for a signed a; |quotient| < 2^Q. b must not be 0.
template DivideSigned(Q, R) {
    signal input a;
    signal input b;
    signal output out;
    out <-- a < 0 ? -((b - 1 - a) \ b) : a \ b;
    signal rest <-- a - out * b;
    out * b === a - rest;
    InRange(Q + 1)(out + (1 << Q));
    InRange(R)(rest);
    InRange(R)(b - 1 - rest);
}

function root_of(x, S) {
    var s = 0;
    for (var i = S - 1; i >= 0; i--) {
        var t = s + (1 << i);
        if (t * t <= x) {
            s = t;
        }
    }
    return s;
}

// floor(sqrt(in)) for in < 2^(2 S)
template Root(S) {
    signal input in;
    signal output out;
    out <-- root_of(in, S);
    signal rest <== in - out * out;
    InRange(S)(out);
    InRange(S + 1)(rest);
    InRange(S + 1)(2 * out - rest);
}

// min(value, max(1, floor(total * bps / 10000))) for each value
template Capped(n) {
    signal input value[n];
    signal input bps;
    signal output out[n];
    var total = 0;
    for (var i = 0; i < n; i++) {
        total += value[i];
    }
    signal product <== total * bps;
    signal part <== Divide(87, 14)(product, 10000);
    signal none <== IsZero()(part);
    signal ceiling <== part + none;
    signal over[n];
    for (var i = 0; i < n; i++) {
        over[i] <== Less(88)(ceiling, value[i]);
        out[i] <== value[i] + over[i] * (ceiling - value[i]);
    }
}

function median_of(n, v, w) {
    var total = 0;
    for (var i = 0; i < n; i++) {
        total += w[i];
    }
    var found = 0;
    for (var i = 0; i < n; i++) {
        var below = 0;
        var upto = 0;
        for (var k = 0; k < n; k++) {
            if (v[k] < v[i]) {
                below += w[k];
            }
            if (v[k] <= v[i]) {
                upto += w[k];
            }
        }
        if (2 * below < total && 2 * upto >= total) {
            found = v[i];
        }
    }
    return found;
}

// The least v at which half of the weight is reached; 0 when there is no weight. Proved without sorting: what is below
// it weighs less than half, what is not above it weighs half or more.
template WeightedMedian(n, V) {
    signal input v[n];
    signal input w[n];
    signal output out;
    out <-- median_of(n, v, w);
    InRange(V)(out);
    signal below[n];
    signal equal[n];
    signal lighter[n];
    signal same[n];
    var total = 0;
    var under = 0;
    var upto = 0;
    for (var i = 0; i < n; i++) {
        below[i] <== Less(V)(v[i], out);
        equal[i] <== IsZero()(v[i] - out);
        lighter[i] <== below[i] * w[i];
        same[i] <== equal[i] * w[i];
        total += w[i];
        under += lighter[i];
        upto += lighter[i] + same[i];
    }
    signal empty <== IsZero()(total);
    InRange(88)(2 * upto - total);
    InRange(88)(total - 1 - 2 * under + empty);
    empty * out === 0;
}

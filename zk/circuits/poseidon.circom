pragma circom 2.1.6;
include "poseidon_constants.circom";
// Width 9, 8 full and 63 partial rounds, x^5: zk/poseidon.py. Mixing stays in linear expressions; an S-box first names
// its operand, so that long expressions stand in one constraint instead of three.

template Fifth() {
    signal input in;
    signal output out;
    signal square <== in * in;
    signal fourth <== square * square;
    out <== fourth * in;
}

template Hash8() {
    signal input in[8];
    signal output out;
    var C[639] = round_constants();
    var M[81] = mixing_matrix();
    signal box[135];
    var used = 0;
    var state[9];
    var mixed[9];
    state[0] = 0;
    for (var i = 0; i < 8; i++) {
        state[i + 1] = in[i];
    }
    for (var r = 0; r < 71; r++) {
        var boxes = (r < 4 || r >= 67) ? 9 : 1;
        for (var i = 0; i < 9; i++) {
            state[i] += C[9 * r + i];
        }
        for (var i = 0; i < boxes; i++) {
            box[used] <== Fifth()(state[i]);
            state[i] = box[used];
            used++;
        }
        for (var i = 0; i < 9; i++) {
            mixed[i] = 0;
            for (var k = 0; k < 9; k++) {
                mixed[i] += M[9 * i + k] * state[k];
            }
        }
        for (var i = 0; i < 9; i++) {
            state[i] = mixed[i];
        }
    }
    out <== state[0];
}

// A list of one length, 7 elements a permutation.
template HashList(count, tag) {
    signal input in[count];
    signal output out;
    var blocks = (count + 6) \ 7;
    signal chain[blocks + 1];
    signal block[blocks][8];
    chain[0] <== tag;
    for (var b = 0; b < blocks; b++) {
        block[b][0] <== chain[b];
        for (var i = 0; i < 7; i++) {
            block[b][i + 1] <== 7 * b + i < count ? in[7 * b + i] : 0;
        }
        chain[b + 1] <== Hash8()(block[b]);
    }
    out <== chain[blocks];
}

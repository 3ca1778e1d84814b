pragma circom 2.1.6;
include "gates.circom";
include "poseidon.circom";
// Screening, weights, scores and payouts of one round from its committed Gram matrix: zk/settlement/statement.py says the same in
// Python and is tested against the platform. All inputs are fixed by `root`, so their ranges are not proved again.
//
// rule: krum byzantine clip reject floor duplicate alpha_num alpha_den base cap fee size longest rounding pot
//       pots_before reference directions given measured aggregator
// shared: G_rr G_rP G_PP
// slot: address stake rostered candidate score_sum paid_scored paid_base reputation given_score given_replay G_ii G_ir G_iP
// pair: G_ij, i > j, by rows (PAIRS = 1 only: multi-Krum and the proof that no two updates are near-duplicates)

template Lengths(n) {
    signal input squared[n];
    signal input candidate[n];
    signal input rounding;
    signal output energy[n];
    signal output norm[n];
    signal over[n];
    signal rest[n];
    for (var i = 0; i < n; i++) {
        over[i] <== Positive(50)(squared[i] - rounding);
        rest[i] <== over[i] * (squared[i] - rounding);
        energy[i] <== rest[i] * candidate[i];
        norm[i] <== Root(41)(energy[i] * (1 << 32));
    }
}

// Verdicts before the reference is asked: 0 none, 2 no work, 3 too long, 4 replay.
template FirstVerdict() {
    signal input squared;
    signal input norm;
    signal input longest;
    signal input floor;
    signal input ceiling;
    signal input replay;
    signal output code;
    signal output passes;
    signal far <== Less(64)(longest, squared);
    signal none <== IsZero()(norm);
    signal short <== Less(62)(norm, floor);
    signal idle <== none + short - none * short;
    signal long <== Less(62)(ceiling, norm);
    signal second <== (1 - far) * idle;
    signal third <== (1 - far - second) * long;
    signal fourth <== (1 - far - second - third) * replay;
    code <== 3 * far + 2 * second + 3 * third + 4 * fourth;
    passes <== 1 - far - second - third - fourth;
}

template OffReference(n) {
    signal input inner[n];
    signal input norm[n];
    signal input stake[n];
    signal input live[n];
    signal input reference;
    signal output off[n];
    signal none[n];
    signal cosine[n];
    signal shifted[n];
    signal weight[n];
    for (var i = 0; i < n; i++) {
        none[i] <== IsZero()(norm[i]);
        cosine[i] <== DivideSigned(81, 41)(inner[i] * (1 << 32), norm[i] + none[i]);
        shifted[i] <== cosine[i] + (1 << 82);
        weight[i] <== stake[i] * live[i];
    }
    signal middle <== WeightedMedian(n, 83)(shifted, weight);
    signal positive <== Less(83)(1 << 82, middle);
    signal median <== positive * (middle - (1 << 82));
    signal flat <== IsZero()(median);
    signal least <== 3000 * median + flat;
    signal under[n];
    signal asked[n];
    for (var i = 0; i < n; i++) {
        under[i] <== Positive(97)(least - 10000 * cosine[i]);
        asked[i] <== live[i] * reference;
        off[i] <== asked[i] * under[i];
    }
}

function nearest_of(n, me, live, d, count, want) {
    // want 0: the count-th smallest distance; want 1 + j: whether j is among the count nearest (ties to the lower slot)
    var rank_limit = 0;
    var chosen = 0;
    for (var j = 0; j < n; j++) {
        if (j != me && live[j] == 1) {
            var rank = 0;
            for (var k = 0; k < n; k++) {
                if (k != me && k != j && live[k] == 1) {
                    if (d[k] < d[j] || (d[k] == d[j] && k < j)) {
                        rank++;
                    }
                }
            }
            if (rank + 1 == count) {
                rank_limit = d[j];
            }
            if (rank < count && want == 1 + j) {
                chosen = 1;
            }
        }
    }
    return want == 0 ? rank_limit : chosen;
}

// The sum of the `count` smallest distances among live others. No sorting: the chosen ones are not above a threshold,
// the others not below it.
template Nearest(n, me) {
    signal input live[n];
    signal input d[n];
    signal input count; // 0 switches this off
    signal input active;
    signal output out;
    signal chosen[n];
    signal rest[n];
    signal gap[n];
    signal flipped[n];
    signal term[n];
    signal threshold <-- nearest_of(n, me, live, d, count, 0);
    var total = 0;
    var sum = 0;
    for (var j = 0; j < n; j++) {
        if (j != me) {
            chosen[j] <-- nearest_of(n, me, live, d, count, 1 + j);
            chosen[j] * (chosen[j] - 1) === 0;
            chosen[j] * (1 - live[j]) === 0;
            rest[j] <== active * (live[j] - chosen[j]);
            gap[j] <== (rest[j] - chosen[j]) * (d[j] - threshold);
            InRange(54)(gap[j]);
            term[j] <== chosen[j] * d[j];
            total += chosen[j];
            sum += term[j];
        }
    }
    total === count;
    out <== sum;
}

function kth_key(n, live, key, count) {
    var found = 0;
    for (var j = 0; j < n; j++) {
        if (live[j] == 1) {
            var rank = 0;
            for (var k = 0; k < n; k++) {
                if (live[k] == 1 && key[k] < key[j]) {
                    rank++;
                }
            }
            if (rank + 1 == count) {
                found = key[j];
            }
        }
    }
    return found;
}

template MultiKrum(n) {
    signal input live[n];
    signal input squared[n];
    signal input pair[n * (n - 1) / 2];
    signal input byzantine; // still to withstand
    signal input active; // byzantine > 0
    signal output selected[n];
    var left = 0;
    for (var i = 0; i < n; i++) {
        left += live[i];
    }
    signal count[n];
    signal here[n];
    signal d[n][n];
    signal nearest[n];
    signal key[n];
    for (var i = 0; i < n; i++) {
        here[i] <== live[i] * active;
        count[i] <== here[i] * (left - byzantine - 2);
        for (var j = 0; j < n; j++) {
            if (j == i) {
                d[i][j] <== 0;
            } else {
                var high = i > j ? i : j;
                var low = i > j ? j : i;
                d[i][j] <== squared[i] + squared[j] - 2 * pair[high * (high - 1) / 2 + low];
            }
        }
        nearest[i] <== Nearest(n, i)(live, d[i], count[i], here[i]);
        key[i] <== 64 * nearest[i] + i;
    }
    signal last <-- kth_key(n, live, key, left - byzantine);
    signal keep[n];
    signal drop[n];
    signal gap[n];
    signal gated[n];
    var kept = 0;
    for (var i = 0; i < n; i++) {
        keep[i] <-- live[i] * (key[i] <= last);
        keep[i] * (keep[i] - 1) === 0;
        keep[i] * (1 - live[i]) === 0;
        drop[i] <== live[i] - keep[i];
        gap[i] <== (drop[i] - keep[i]) * (key[i] - last) - drop[i]; // dropped: key > last
        gated[i] <== active * gap[i];
        InRange(68)(gated[i]);
        selected[i] <== live[i] + active * (keep[i] - live[i]);
        kept += selected[i];
    }
    kept === left - byzantine;
}

template Weights(n) {
    signal input share[n];
    signal input norm[n];
    signal input limit;
    signal output weight[n];
    signal output divisor;
    var total = 0;
    for (var i = 0; i < n; i++) {
        total += share[i];
    }
    signal full[n];
    signal over[n];
    signal scaled[n];
    signal clipped[n];
    signal whole[n];
    signal bottom[n];
    var sum = 0;
    for (var i = 0; i < n; i++) {
        full[i] <== Divide(17, 87)(share[i] * 65536, total);
        over[i] <== Less(62)(limit, norm[i]);
        scaled[i] <== share[i] * limit;
        whole[i] <== over[i] * scaled[i];
        bottom[i] <== total * norm[i];
        clipped[i] <== Divide(17, 128)(whole[i] * 65536, bottom[i]);
        weight[i] <== clipped[i] + (1 - over[i]) * full[i];
        sum += full[i];
    }
    divisor <== sum;
}

template Quality() {
    signal input energy;
    signal input longer; // max(|u|, tau / 8, 1)
    signal input inner;
    signal input along;
    signal input scale;
    signal input out_of; // alpha_num * G_rP where there is a direction
    signal input size; // parameters * alpha_den
    signal input bound; // 9 * rest * scale
    signal input counts;
    signal output out;
    signal taken <== along * out_of;
    signal numerator <== inner * scale - taken;
    signal square <== numerator * numerator;
    signal cleared <== square * size;
    signal noise <== energy * bound;
    signal loud <== Less(248)(noise, cleared);
    signal toward <== Positive(49)(inner);
    signal both <== loud * toward;
    signal used <== both * counts;
    signal top <== used * numerator;
    signal bottom <== scale * longer;
    out <== DivideSigned(110, 98)(top * (1000000000000 * (1 << 32)), bottom);
}

template Scores(n) {
    signal input rule[21];
    signal input shared[3];
    signal input energy[n];
    signal input norm[n];
    signal input median;
    signal input inner[n];
    signal input along[n];
    signal input capped[n];
    signal input live[n];
    signal output score[n];
    signal computed <== rule[19] * (1 - rule[18]);
    signal inside <== 1 + rule[17] * (shared[2] - 1);
    signal scale <== rule[7] * inside;
    signal direction <== rule[17] * rule[6];
    signal out_of <== direction * shared[1];
    signal denominators <== rule[7] * scale;
    signal whole <== shared[0] * denominators;
    signal crossed <== out_of * shared[1];
    signal rest <== whole - (2 * rule[7] - rule[6]) * crossed;
    InRange(116)(rest);
    signal noise <== rest * scale;
    signal size <== rule[11] * rule[7];
    signal length <== Root(41)(shared[0] * (1 << 32));
    signal eighth <== Divide(41, 4)(median, 8);
    var total = 0;
    for (var i = 0; i < n; i++) {
        total += capped[i];
    }
    signal unit <== length * total;
    signal no_unit <== IsZero()(unit);
    signal divisor <== unit + no_unit;
    signal below[n];
    signal longer[n];
    signal zero[n];
    signal quality[n];
    signal product[n];
    signal counts[n];
    for (var i = 0; i < n; i++) {
        below[i] <== Less(42)(norm[i], eighth);
        longer[i] <== norm[i] + below[i] * (eighth - norm[i]);
        counts[i] <== live[i] * computed;
        zero[i] <== IsZero()(longer[i]);
        quality[i] <== Quality()(energy[i], longer[i] + zero[i], inner[i], along[i], scale, out_of, size,
            9 * noise, counts[i]);
        product[i] <== quality[i] * capped[i];
        score[i] <== DivideSigned(62, 128)(product[i], divisor);
    }
}

// Where both are live: inner <= 0, or its square is within the bound. One range proof for either.
template DistinctPair() {
    signal input first;
    signal input second;
    signal input energies;
    signal input inner;
    signal input bps;
    signal input active;
    signal square <== inner * inner;
    signal room <== energies * bps - 10000 * square;
    signal negative <-- inner < 0 ? 1 : 0;
    negative * (negative - 1) === 0;
    signal margin <== room + negative * (-inner - room);
    signal both <== first * second;
    signal asked <== both * active;
    signal shown <== asked * margin;
    InRange(114)(shown);
}

// No two live updates are near-duplicates.
template Distinct(n) {
    signal input live[n];
    signal input energy[n];
    signal input pair[n * (n - 1) / 2];
    signal input bps;
    signal input active;
    component distinct[n][n];
    for (var i = 0; i < n; i++) {
        for (var j = 0; j < i; j++) {
            distinct[i][j] = DistinctPair();
            distinct[i][j].first <== live[i];
            distinct[i][j].second <== live[j];
            distinct[i][j].energies <== energy[i] * energy[j];
            distinct[i][j].inner <== pair[i * (i - 1) / 2 + j];
            distinct[i][j].bps <== bps;
            distinct[i][j].active <== active;
        }
    }
}

template Payouts(n) {
    signal input rule[21];
    signal input stake[n];
    signal input live[n];
    signal input selected[n];
    signal input sum_before[n];
    signal input paid[n];
    signal input score[n];
    signal output sums[n];
    signal output scored[n];
    signal output base[n];
    signal output fee;
    signal output scored_pot;
    signal output dust;
    signal fee_top <== rule[14] * rule[10];
    fee <== Divide(80, 14)(fee_top, 10000);
    signal rest <== rule[14] - fee;
    signal base_bps <== 10000 + rule[19] * (rule[8] - 10000);
    signal base_top <== rest * base_bps;
    signal base_pot <== Divide(80, 14)(base_top, 10000);
    signal pot <== rest - base_pot;
    signal positive[n];
    signal worth[n];
    signal entitled_top[n];
    signal entitled[n];
    signal due[n];
    signal owed[n];
    signal lacking[n];
    var total = 0;
    for (var i = 0; i < n; i++) {
        sums[i] <== sum_before[i] + score[i];
        positive[i] <== Positive(64)(sums[i]);
        worth[i] <== positive[i] * sums[i];
        total += worth[i];
    }
    var lack = 0;
    for (var i = 0; i < n; i++) {
        entitled_top[i] <== (rule[15] + pot) * worth[i];
        entitled[i] <== Divide(82, 70)(entitled_top[i], total);
        due[i] <== entitled[i] * live[i];
        owed[i] <== Less(82)(paid[i], due[i]);
        lacking[i] <== owed[i] * (due[i] - paid[i]);
        lack += lacking[i];
    }
    signal even <== IsZero()(lack);
    signal share[n];
    var shares = 0;
    for (var i = 0; i < n; i++) {
        share[i] <== lacking[i] + even * due[i];
        shares += share[i];
    }
    signal scored_top[n];
    var paid_now = 0;
    for (var i = 0; i < n; i++) {
        scored_top[i] <== pot * share[i];
        scored[i] <== Divide(81, 89)(scored_top[i], shares);
        paid_now += scored[i];
    }
    signal nothing <== IsZero()(paid_now);
    scored_pot <== pot - nothing * pot;
    signal capped[n] <== Capped(n)(stake, rule[9]);
    signal admitted[n];
    var in_sum = 0;
    for (var i = 0; i < n; i++) {
        admitted[i] <== capped[i] * selected[i];
        in_sum += admitted[i];
    }
    signal nobody <== IsZero()(in_sum);
    signal part[n];
    signal base_part[n];
    var parts = 0;
    for (var i = 0; i < n; i++) {
        part[i] <== admitted[i] + nobody * capped[i];
        parts += part[i];
    }
    for (var i = 0; i < n; i++) {
        base_part[i] <== (rest - scored_pot) * part[i];
        base[i] <== Divide(81, 87)(base_part[i], parts);
        paid_now += base[i];
    }
    dust <== rest - paid_now;
}

template Reputation() {
    signal input before;
    signal input rostered;
    signal input good;
    signal output out;
    signal bits[24] <== Bits(24)(1000000 * good - before + (1 << 23));
    var step = -(1 << 20);
    for (var i = 3; i < 24; i++) {
        step += bits[i] * (1 << (i - 3));
    }
    out <== before + rostered * step;
}

template Settle(n, PAIRS) {
    var N_PAIRS = PAIRS * n * (n - 1) / 2;
    signal input rule[21];
    signal input shared[3];
    signal input slot[n][13];
    signal input pair[N_PAIRS];
    signal input rho;
    signal output root;
    signal output value;

    var COUNT = 24 + 13 * n + N_PAIRS;
    signal all[COUNT];
    for (var i = 0; i < 21; i++) {
        all[i] <== rule[i];
    }
    for (var i = 0; i < 3; i++) {
        all[21 + i] <== shared[i];
    }
    for (var i = 0; i < n; i++) {
        for (var k = 0; k < 13; k++) {
            all[24 + 13 * i + k] <== slot[i][k];
        }
    }
    for (var i = 0; i < N_PAIRS; i++) {
        all[24 + 13 * n + i] <== pair[i];
    }
    // "FLS1", slots, layout
    root <== HashList(COUNT, 1179407153 * 65536 + 2 * n + PAIRS)(all);

    signal column[13][n];
    for (var i = 0; i < n; i++) {
        for (var k = 0; k < 13; k++) {
            column[k][i] <== slot[i][k];
        }
    }
    signal energy[n];
    signal norm[n];
    (energy, norm) <== Lengths(n)(column[10], column[3], rule[13]);
    signal staked[n];
    for (var i = 0; i < n; i++) {
        staked[i] <== column[1][i] * column[3][i];
    }
    signal voice[n] <== Capped(n)(staked, rule[9]);
    signal median <== WeightedMedian(n, 41)(norm, voice);
    signal floor_top <== median * rule[4];
    signal ceiling_top <== median * rule[3];
    signal limit_top <== median * rule[2];
    signal floor <== Divide(61, 14)(floor_top, 10000);
    signal ceiling <== Divide(61, 14)(ceiling_top, 10000);
    signal limit <== Divide(61, 14)(limit_top, 10000);

    signal computes <== rule[17] * (1 - rule[18]);
    signal duplicate[n];
    signal along_squared[n];
    signal allowed[n];
    signal over[n];
    signal replay[n];
    signal given_replay[n];
    signal first[n];
    signal passes[n];
    signal before_reference[n];
    for (var i = 0; i < n; i++) {
        along_squared[i] <== column[12][i] * column[12][i];
        duplicate[i] <== rule[5] * energy[i];
        allowed[i] <== duplicate[i] * shared[2];
        over[i] <== Positive(113)(10000 * along_squared[i] - allowed[i]);
        given_replay[i] <== rule[18] * column[9][i];
        replay[i] <== computes * over[i] + given_replay[i];
        (first[i], passes[i]) <== FirstVerdict()(column[10][i], norm[i], rule[12], floor, ceiling, replay[i]);
        before_reference[i] <== column[3][i] * passes[i];
    }
    signal off[n] <== OffReference(n)(column[11], norm, voice, before_reference, rule[16]);
    signal live[n];
    var left = 0;
    var rostered = 0;
    for (var i = 0; i < n; i++) {
        live[i] <== before_reference[i] - off[i];
        left += live[i];
        rostered += column[2][i];
    }

    // how many hostile updates multi-Krum must still withstand; n >= 2f + 3, anything where none is left to fear
    signal hostile <== Positive(8)(rule[1] - (rostered - left));
    signal active <== hostile * rule[0];
    signal byzantine <== active * (rule[1] - (rostered - left));
    InRange(8)(active * (left - 2 * byzantine - 3));
    signal selected[n];
    if (PAIRS == 1) {
        selected <== MultiKrum(n)(live, column[10], pair, byzantine, active);
        signal proved <== rule[19] * (1 - rule[18]);
        Distinct(n)(live, energy, pair, rule[5], proved);
    } else {
        rule[0] === 0;
        selected <== live;
    }

    signal counted[n];
    for (var i = 0; i < n; i++) {
        counted[i] <== column[1][i] * live[i];
    }
    signal capped[n] <== Capped(n)(counted, rule[9]);
    signal share[n];
    for (var i = 0; i < n; i++) {
        share[i] <== capped[i] * selected[i];
    }
    signal weight[n];
    signal divisor;
    (weight, divisor) <== Weights(n)(share, norm, limit);
    signal proved_score[n] <== Scores(n)(rule, shared, energy, norm, median, column[11], column[12], capped, live);
    signal given_score[n];
    signal given_live[n];
    signal score[n];
    for (var i = 0; i < n; i++) {
        given_live[i] <== rule[18] * live[i];
        given_score[i] <== given_live[i] * column[8][i];
        score[i] <== proved_score[i] + given_score[i];
    }
    signal sums[n];
    signal scored[n];
    signal base[n];
    signal fee;
    signal scored_pot;
    signal dust;
    (sums, scored, base, fee, scored_pot, dust) <== Payouts(n)(rule, column[1], live, selected, column[4], column[5], score);

    signal list[2 * n + 1];
    signal code[n];
    signal reputation[n];
    signal liked[n];
    signal good[n];
    signal seals[n];
    signal earns[n];
    for (var i = 0; i < n; i++) {
        code[i] <== column[3][i] * first[i] + 5 * off[i] + 6 * live[i] - 5 * selected[i];
        liked[i] <== Positive(64)(score[i]);
        good[i] <== selected[i] + rule[19] * (liked[i] - selected[i]);
        reputation[i] <== Reputation()(column[7][i], column[2][i], good[i]);
        seals[i] <== IsZero()(rule[20] - i);
        earns[i] <== seals[i] * fee;
        list[i] <== column[0][i] + (1 << 160) * (column[5][i] + scored[i] + column[6][i] + base[i] + earns[i]);
        list[n + i] <== weight[i] + (1 << 17) * code[i] + (1 << 20) * reputation[i] + (1 << 40) * (score[i] + (1 << 63))
            + (1 << 104) * (sums[i] + (1 << 63)) + (1 << 168) * (column[5][i] + scored[i]);
    }
    list[2 * n] <== divisor + (1 << 17) * scored_pot + (1 << 98) * dust;
    signal horner[2 * n + 2];
    horner[2 * n + 1] <== 0;
    for (var i = 2 * n; i >= 0; i--) {
        horner[i] <== horner[i + 1] * rho + list[i];
    }
    value <== horner[0];
}

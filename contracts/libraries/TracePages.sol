// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IDemands} from "../interfaces/IDemands.sol";
import {Traces} from "./Traces.sol";

/// @title TracePages
/// @notice A trace in pages, as a sealer shows it ({IDemands}). Twin of `fl_platform/protocol/trace_pages.py`.
library TracePages {
    /// @notice Revert unless counts and roots are those of `trace`, with the one leaf of every kind that has one in all rounds,
    /// and without a root where there is no leaf: no judge could read the others.
    function requireReadable(uint32[6] calldata counts, bytes32[6] calldata roots, bytes32 trace) internal pure {
        bytes32 given = Traces.rootOf(counts, roots);
        if (given != trace) revert Traces.Traces_HeaderMismatch(given, trace);
        if (counts[Traces.RULES] != 1) revert Traces.Traces_EvidenceShape(Traces.RULES, counts[Traces.RULES], 1);
        if (counts[Traces.ROUND] != 1) revert Traces.Traces_EvidenceShape(Traces.ROUND, counts[Traces.ROUND], 1);
        if (counts[Traces.WORK] != 1) revert Traces.Traces_EvidenceShape(Traces.WORK, counts[Traces.WORK], 1);
        for (uint256 kind = Traces.ENTRY; kind < Traces.WORK; ++kind) {
            if (counts[kind] == 0 && roots[kind] != 0) revert Traces.Traces_LeafMismatch(kind, 0);
        }
    }

    /// @notice Return the place of the next leaf, from leaf `index` of `kind` on, passing over kinds that have no more; kind
    /// {KINDS} when there is none.
    function next(uint32[6] calldata counts, uint256 kind, uint256 index) internal pure returns (uint256, uint256) {
        // at most six turns
        while (kind < Traces.KINDS && index >= counts[kind]) (kind, index) = (kind + 1, 0);
        return (kind, index);
    }

    /// @notice Demand that `page` is the 2^level places of a kind's tree that leaf `index` is among; return the first leaf in it
    /// and the first behind it. Requirements: `index` is below the kind's count.
    function requirePage(
        uint32[6] calldata counts,
        bytes32[6] calldata roots,
        uint256 kind,
        uint256 index,
        IDemands.Page calldata page
    ) internal pure returns (uint256 first, uint256 end) {
        uint256 depth = Traces.depthOf(counts[kind]);
        if (page.level > depth || page.siblings.length != depth - page.level) revert Traces.Traces_LeafMismatch(kind, index);
        first = (index >> page.level) << page.level;
        end = first + (1 << page.level);
        if (end > counts[kind]) end = counts[kind];
        uint256 length = Traces.lengthOf(kind, counts);
        if (page.words.length != (end - first) * length) {
            revert Traces.Traces_EvidenceShape(kind, page.words.length, (end - first) * length);
        }
        bytes32 hash = Traces.rootOver(kind, first, end - first, length, page.words, 1 << page.level);
        if (Traces.climb(hash, first >> page.level, page.siblings) != roots[kind]) revert Traces.Traces_LeafMismatch(kind, first);
    }
}

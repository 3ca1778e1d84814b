"""Step 4: a float delta is clipped, scaled and rounded into integers once; from here on everything is exact.

`codec` (bytes), `scale` (steps by a frozen formula), `rounding` (seeded), `model_row` and `model_file` (the global
model), `tensors` (floats against their spec).
"""

from fl_platform.updates.codec import (
    EncodedUpdate,
    decode_update,
    dequantise,
    encode_update,
    pack_update,
    split_tensors,
    update_length,
)
from fl_platform.updates.model_file import decode_model, encode_model, model_length
from fl_platform.updates.model_row import floats_of, integers_nearest, row_root
from fl_platform.updates.rounding import rounding_seed
from fl_platform.updates.scale import check_sum_bound, clip_steps, measured_scale, step_of
from fl_platform.updates.tensors import l2_norm, tensor_slices

__all__ = [
    "EncodedUpdate",
    "check_sum_bound",
    "clip_steps",
    "decode_model",
    "decode_update",
    "dequantise",
    "encode_model",
    "encode_update",
    "floats_of",
    "integers_nearest",
    "l2_norm",
    "measured_scale",
    "model_length",
    "pack_update",
    "rounding_seed",
    "row_root",
    "split_tensors",
    "step_of",
    "tensor_slices",
    "update_length",
]

"""Everything that an ONNX file of `rdvar export` may hold; see onnx.proto."""

from rdvar_jax.serving.protobuf import BYTES, FIXED32, INT, Message

OPERATIONS = frozenset(
    "Add Cast Concat Conv DepthToSpace DequantizeLinear Div Flatten MatMul Max MaxPool Mul "
    "QuantizeLinear ReduceL2 ReduceMax ReduceMean ReduceSum Relu Sub Sum TopK Transpose "
    "Where".split()
)
"""Operations of the default domain that the export writes; none reads files or loops."""

FLOAT, UINT8 = 1, 2  # TensorProto.DataType

_EXTERNAL = "it refers to data in other files"
_NESTED = "an operation holds a graph or a tensor"

_ENTRY = Message("an entry", {1: ("key", BYTES, False), 2: ("value", BYTES, False)})

_TENSOR = Message(
    "a tensor",
    {
        1: ("dims", INT, True),
        2: ("data_type", INT, False),
        4: ("float_data", FIXED32, True),
        5: ("int32_data", INT, True),
        7: ("int64_data", INT, True),
        8: ("name", BYTES, False),
        9: ("raw_data", BYTES, False),
        12: ("doc_string", BYTES, False),
    },
    {13: _EXTERNAL, 14: _EXTERNAL},
)

_ATTRIBUTE = Message(
    "an attribute",
    {
        1: ("name", BYTES, False),
        2: ("f", FIXED32, False),
        3: ("i", INT, False),
        4: ("s", BYTES, False),
        7: ("floats", FIXED32, True),
        8: ("ints", INT, True),
        13: ("doc_string", BYTES, False),
        20: ("type", INT, False),
    },
    {5: _NESTED, 6: _NESTED, 10: _NESTED, 11: _NESTED},
)

_NODE = Message(
    "an operation",
    {
        1: ("input", BYTES, True),
        2: ("output", BYTES, True),
        3: ("name", BYTES, False),
        4: ("op_type", BYTES, False),
        5: ("attribute", _ATTRIBUTE, True),
        6: ("doc_string", BYTES, False),
        7: ("domain", BYTES, False),
    },
)

_DIM = Message("a dimension", {1: ("dim_value", INT, False), 2: ("dim_param", BYTES, False)})
_SHAPE = Message("a shape", {1: ("dim", _DIM, True)})
_TENSOR_TYPE = Message("a type", {1: ("elem_type", INT, False), 2: ("shape", _SHAPE, False)})
_TYPE = Message("a type", {1: ("tensor_type", _TENSOR_TYPE, False)})
_VALUE = Message(
    "a value",
    {1: ("name", BYTES, False), 2: ("type", _TYPE, False), 3: ("doc_string", BYTES, False)},
)

_GRAPH = Message(
    "the graph",
    {
        1: ("node", _NODE, True),
        2: ("name", BYTES, False),
        5: ("initializer", _TENSOR, True),
        10: ("doc_string", BYTES, False),
        11: ("input", _VALUE, True),
        12: ("output", _VALUE, True),
        13: ("value_info", _VALUE, True),
    },
)

_OPSET = Message("an operator set", {1: ("domain", BYTES, False), 2: ("version", INT, False)})

MODEL = Message(
    "the model",
    {
        1: ("ir_version", INT, False),
        2: ("producer_name", BYTES, False),
        3: ("producer_version", BYTES, False),
        4: ("domain", BYTES, False),
        5: ("model_version", INT, False),
        6: ("doc_string", BYTES, False),
        7: ("graph", _GRAPH, False),
        8: ("opset_import", _OPSET, True),
        14: ("metadata_props", _ENTRY, True),
    },
    {25: "it defines operations of its own"},
)

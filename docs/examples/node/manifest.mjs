// Reads the metadata entry `rdvar` of an ONNX file, which onnxruntime-node does not give.
//
// A file is a message of Protocol Buffers: fields, each a number, a type and a value. Field 14 of
// ModelProto holds pairs of key (field 1) and value (field 2).

const METADATA_PROPS = 14;
const KEY = 1;
const VALUE = 2;

/** Returns the manifest in the bytes of an ONNX file. */
export function manifestOf(model) {
  for (const entry of fields(model)) {
    if (entry.number !== METADATA_PROPS) continue;
    const pair = {};
    for (const { number, bytes } of fields(entry.bytes)) pair[number] = bytes.toString("utf8");
    if (pair[KEY] === "rdvar") return JSON.parse(pair[VALUE]);
  }
  throw new Error("the file has no entry rdvar; export it with rdvar export --format onnx");
}

function* fields(bytes) {
  let position = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[position++];
      if (byte === undefined) throw new Error("the file is not an ONNX model, or it is truncated");
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (position < bytes.length) {
    const tag = varint();
    const type = tag % 8;
    let length = 0; // of what follows, in bytes
    if (type === 0) varint();
    else if (type === 1) length = 8;
    else if (type === 2) length = varint();
    else if (type === 5) length = 4;
    else throw new Error("the file is not an ONNX model");
    if (position + length > bytes.length) throw new Error("the file is truncated");
    yield { number: Math.floor(tag / 8), bytes: bytes.subarray(position, position + length) };
    position += length;
  }
}

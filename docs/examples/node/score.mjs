// Scores images with an ONNX model of `rdvar export --format onnx`, without Python.
//
//     npm ci --ignore-scripts
//     node score.mjs part.onnx a.jpg b.png
//
// Prints one line of JSON an image: path, score, threshold, verdict. The scores are those of
// `rdvar predict`. Exit code 1 if an image cannot be scored.

import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-node";
import { manifestOf } from "./manifest.mjs";
import { readPixels } from "./pixels.mjs";

const [modelPath, ...paths] = process.argv.slice(2);
if (modelPath === undefined || paths.length === 0) {
  console.error("usage: node score.mjs MODEL.onnx IMAGE...");
  process.exit(2);
}

const model = await readFile(modelPath);
const manifest = manifestOf(model);
if (manifest.image.geometry !== "squash" || (manifest.min_area ?? 0) > 0) {
  console.error("this example knows neither data.geometry other than squash nor score.min_area");
  process.exit(2);
}
const { height, width } = manifest.image;
// Scores are float32, so the threshold is compared as float32.
const threshold = manifest.threshold === null ? null : Math.fround(manifest.threshold.threshold);
const session = await ort.InferenceSession.create(model);

for (const path of paths) {
  try {
    const pixels = await readPixels(path, width, height);
    const images = new ort.Tensor("uint8", pixels, [1, height, width, 3]);
    const score = (await session.run({ images }, ["scores"])).scores.data[0];
    // Whatever is not a number must never be called good.
    const verdict = threshold === null ? null : score <= threshold ? "good" : "defective";
    console.log(JSON.stringify({ path, score, threshold, verdict }));
  } catch (error) {
    console.error(`${path}: ${error.message}`);
    process.exitCode = 1;
  }
}

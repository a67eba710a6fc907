// Reads an image as training did: upright, 8-bit RGB, stretched by Pillow's bilinear filter.

import sharp from "sharp";

/** Returns uint8 RGB of width x height pixels, row by row. */
export async function readPixels(path, width, height) {
  // Colour profiles are ignored, as they were in training.
  const image = sharp(path, { failOn: "truncated", ignoreIcc: true });
  const { depth, pages } = await image.metadata();
  if (depth !== "uchar" || (pages ?? 1) > 1) {
    throw new Error("this example reads single images of 8 bits a channel");
  }
  const { data, info } = await image
    .autoOrient()
    .removeAlpha()
    .toColourspace("srgb")
    .raw()
    .toBuffer({ resolveWithObject: true });
  // First the width, then the height: each rounds, so the order matters.
  const wide = resizeRows(rgb(data, info.channels), info.width, info.height, width);
  const turned = transpose(wide, width, info.height);
  return transpose(resizeRows(turned, info.height, width, height), height, width);
}

/** Returns three channels of one or three. */
function rgb(data, channels) {
  if (channels === 3) return data;
  const pixels = new Uint8Array(data.length * 3);
  data.forEach((value, index) => pixels.fill(value, 3 * index, 3 * index + 3));
  return pixels;
}

const PRECISION = 22; // bits of a weight; Pillow computes in whole numbers, and rounds after each axis

/** Resizes each of the rows to `size` pixels, by a triangle as wide as a new pixel. */
function resizeRows(pixels, width, rows, size) {
  if (size === width) return pixels;
  const scale = width / size;
  const support = Math.max(scale, 1);
  const resized = new Uint8Array(rows * size * 3);
  for (let x = 0; x < size; x++) {
    const center = (x + 0.5) * scale;
    const first = Math.max(Math.floor(center - support + 0.5), 0);
    const last = Math.min(Math.floor(center + support + 0.5), width);
    const weights = [];
    for (let from = first; from < last; from++) {
      weights.push(Math.max(1 - Math.abs((from - center + 0.5) / support), 0));
    }
    const sum = weights.reduce((total, weight) => total + weight, 0);
    const whole = weights.map((weight) => Math.trunc((weight / sum) * 2 ** PRECISION + 0.5));
    for (let row = 0; row < rows; row++) {
      for (let channel = 0; channel < 3; channel++) {
        let total = 2 ** (PRECISION - 1);
        for (let k = 0; k < whole.length; k++) {
          total += whole[k] * pixels[3 * (row * width + first + k) + channel];
        }
        resized[3 * (row * size + x) + channel] = Math.floor(total / 2 ** PRECISION);
      }
    }
  }
  return resized;
}

/** Turns rows [rows, width] of pixels into columns [width, rows]. */
function transpose(pixels, width, rows) {
  const turned = new Uint8Array(pixels.length);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < 3; channel++) {
        turned[3 * (x * rows + y) + channel] = pixels[3 * (y * width + x) + channel];
      }
    }
  }
  return turned;
}

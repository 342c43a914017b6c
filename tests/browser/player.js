// What the tests ask of a browser: play by MSE or by address, show one frame, hear where the sound is.
"use strict";

const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const event = (target, name) =>
  new Promise((resolve, reject) => {
    target.addEventListener(name, resolve, { once: true });
    target.addEventListener("error", () => reject(new Error(`${name}: ${target.error?.message}`)), { once: true });
  });

function newVideo() {
  document.body.replaceChildren();
  window.video = document.createElement("video");
  document.body.append(window.video);
  return window.video;
}

async function openSource(address) {
  const video = newVideo();
  video.preload = "auto";
  video.src = address;
  await event(video, "canplaythrough");
  return { duration: video.duration, width: video.videoWidth, height: video.videoHeight };
}

// Appends whole pieces, as they would come from a server, and ends the stream.
async function openPieces(mime, pieces) {
  const video = newVideo();
  const media = new MediaSource();
  video.src = URL.createObjectURL(media);
  await event(media, "sourceopen");
  const buffer = media.addSourceBuffer(mime);
  const ends = [];
  for (const piece of pieces) {
    buffer.appendBuffer(bytesOf(piece));
    await event(buffer, "updateend");
    ends.push(buffer.buffered.length ? buffer.buffered.end(buffer.buffered.length - 1) : 0);
  }
  media.endOfStream();
  if (video.readyState < 2) await event(video, "loadeddata");
  const ranges = [];
  for (let i = 0; i < buffer.buffered.length; i++) ranges.push([buffer.buffered.start(i), buffer.buffered.end(i)]);
  return { duration: video.duration, ranges, ends };
}

function pixels() {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  const context = canvas.getContext("2d", { colorSpace: "srgb" });
  context.drawImage(video, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

function brightness() {
  const { data } = pixels();
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) sum += data[i];
  return sum / (data.length / 4);
}

// The frame on show after seeking to a time: its own presentation time and its mean brightness.
async function frameAt(time) {
  const shown = new Promise((resolve) => video.requestVideoFrameCallback((_, meta) => resolve(meta.mediaTime)));
  const seeked = event(video, "seeked");
  video.currentTime = time;
  await seeked;
  return { mediaTime: await shown, brightness: brightness() };
}

async function playToEnd() {
  const times = [];
  const onFrame = (_, meta) => {
    times.push(meta.mediaTime);
    video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback(onFrame);
  const ended = event(video, "ended");
  await video.play();
  await ended;
  const quality = video.getVideoPlaybackQuality();
  return { times, frames: quality.totalVideoFrames, sound: video.webkitAudioDecodedByteCount, end: video.currentTime };
}

const recorder = `registerProcessor("recorder", class extends AudioWorkletProcessor {
  process([input]) { if (input.length) this.port.postMessage(input[0].slice()); return true; }
});`;

// The first sound the element gives after seeking to each time, sample by sample.
async function soundsFrom(times, rate, count) {
  const context = new AudioContext({ sampleRate: rate });
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([recorder], { type: "text/javascript" })));
  const node = new AudioWorkletNode(context, "recorder");
  context.createMediaElementSource(video).connect(node).connect(context.destination);
  await context.resume();
  const found = [];
  for (const time of times) {
    video.pause();
    const seeked = event(video, "seeked");
    video.currentTime = time;
    await seeked;
    await new Promise((resolve) => setTimeout(resolve, 100)); // what was playing before has left the graph
    const heard = [];
    const enough = new Promise((resolve) => {
      node.port.onmessage = ({ data }) => {
        for (const value of data) if (heard.length || value !== 0) heard.push(value);
        if (heard.length >= count) resolve();
      };
    });
    await video.play();
    await enough;
    node.port.onmessage = null;
    found.push(heard.slice(0, count));
  }
  video.pause();
  await context.close();
  return found;
}

// Samples of the file's whole sound, as decoded by the browser, from each start on.
async function decodeSound(address, rate, starts, count) {
  const bytes = await (await fetch(address)).arrayBuffer();
  const decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes);
  const sound = decoded.getChannelData(0);
  return starts.map((start) => Array.from(sound.subarray(start, start + count)));
}

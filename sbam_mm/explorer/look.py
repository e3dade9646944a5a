# Copyright (c) OpenMMLab. All rights reserved.
"""The style of the page, light and dark, wide and narrow.

Fonts are the system's: nothing is loaded from elsewhere.
"""

CSS = """
.gradio-container { width: 100%; max-width: 1440px !important; margin: 0 auto;
  padding: 12px 20px 40px !important; }
.shared, #styles { position: absolute; width: 0; height: 0; }
.gradio-container .prose { max-width: none; }
.gradio-container .html-container, .gradio-container .main
  { padding: 0 !important; }
.title h1 { font-size: 22px; line-height: 1.25; margin: 6px 0 2px;
  font-weight: 650; }
.title p, .note, .none, figcaption, .strip .name
  { color: var(--body-text-color-subdued); }
.title p { margin: 0; font-size: 14px; }

.photo { width: 100%; height: 100%; background-size: cover;
  background-position: center; display: block; }
.frame { position: relative; aspect-ratio: 1; overflow: hidden;
  border-radius: 6px; }
.frame .layer { transition: opacity .15s; }
.frame:hover .layer { opacity: .2; }
.clickable .frame:hover .layer { opacity: var(--map-opacity, .75); }
.frame.grey .photo { filter: grayscale(1); }
.layer { position: absolute; inset: 0; width: 100%; height: 100%;
  margin: 0 !important; border-radius: 0 !important; max-width: none; }
.map { image-rendering: pixelated; opacity: var(--map-opacity, .75); }
.mosaic, .none, .numbers { max-width: 480px; }
.mosaic { display: grid; gap: 6px; margin-bottom: 10px;
  grid-template-columns: repeat(var(--side), minmax(0, 1fr)); }
.mosaic figure { margin: 0; min-width: 0; }
figcaption { font-size: 12.5px; line-height: 1.3; margin-top: 3px;
  text-align: center; min-height: 1.3em; font-variant-numeric: tabular-nums;
  overflow: hidden; text-overflow: ellipsis; }
figcaption:empty { display: none; }
.none { font-size: 13px; text-align: center; margin: 0 0 10px;
  aspect-ratio: 1; display: grid; place-items: center; padding: 0 16%;
  border: 1px dashed var(--border-color-primary); border-radius: 6px; }
.numbers { font-size: 13px; font-variant-numeric: tabular-nums; }
.numbers div { display: flex; justify-content: space-between; gap: 8px;
  padding: 4px 0; line-height: 1.35; flex-wrap: wrap;
  border-bottom: 1px solid var(--border-color-primary); }
.numbers span:first-child { color: var(--body-text-color-subdued); }
.numbers span:last-child { margin-left: auto; }
.note { font-size: 12.5px; margin: 6px 0 0; }
.sentence { font-size: 14px; line-height: 1.45; margin: 0 0 8px;
  padding: 10px 14px; border-left: 4px solid #CC5566;
  background: var(--block-background-fill); border-radius: 0 6px 6px 0;
  overflow-wrap: anywhere; }
#said:not(:has(.sentence)) { display: none; }

.strip { display: flex; align-items: flex-start; gap: 8px; overflow-x: auto;
  padding: 3px 3px 8px;
  width: 0; min-width: 100%; box-sizing: border-box; }
.strip button { flex: 0 0 88px; width: 88px; padding: 0; border: 0;
  background: none; cursor: pointer; text-align: center; }
.strip .photo { height: 88px; border-radius: 6px; opacity: .55;
  transition: opacity .15s; }
.strip button:hover .photo { opacity: .85; }
.strip button[aria-pressed=true] .photo { opacity: 1;
  box-shadow: 0 0 0 3px var(--color-accent); }
.strip button:focus-visible { outline: 2px solid var(--color-accent);
  outline-offset: 4px; border-radius: 4px; }
.strip .name { display: block; font-size: 12px; margin-top: 5px;
  white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.strip button[aria-pressed=true] .name { color: var(--body-text-color);
  font-weight: 600; }

.clickable .frame { cursor: crosshair; max-width: 448px; }
.clickable .query { position: absolute; border: 2px solid #fff;
  outline: 2px solid #000; pointer-events: none; }
.maskers { align-items: flex-start; gap: 14px !important; }
.save { align-items: center; }
.maskers .cm-content { font-size: 12px !important; }
.gradio-container [data-testid=number-input] { width: 58px; }
/* What an option means is said where the pointer is. */
.maskers .form, .maskers .block, .maskers .options
  { overflow: visible !important; }
.option { padding: 6px 10px !important; position: relative; }
.option .info-text { display: none; position: absolute; z-index: 20;
  left: 8px; right: 8px; bottom: calc(100% - 4px); padding: 7px 10px;
  font-size: 12.5px; line-height: 1.4; border-radius: 6px;
  color: var(--body-text-color); background: var(--background-fill-primary);
  border: 1px solid var(--border-color-primary);
  box-shadow: 0 3px 12px rgb(0 0 0 / .18); pointer-events: none; }
.option:hover .info-text, .option:focus-within .info-text
  { display: block; }
@media (max-width: 640px) {
  .gradio-container { padding: 6px 10px 32px !important; }
  .title h1 { font-size: 19px; }
  .strip button { flex-basis: 68px; width: 68px; }
  .strip .photo { height: 68px; }
  .maskers { gap: 10px !important; }
  .numbers { font-size: 12px; }
  .maskers [data-testid=number-input] { width: 44px; padding: 2px 4px; }
  .maskers .reset-button { padding: 0 4px; }
}
"""

# The clicked picture's key.
STRIP_CLICK = """
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-key]');
  if (button) trigger('click', {key: button.dataset.key});
});
"""
# Where in the picture was clicked, in shares of its sides.
PATCH_CLICK = """
element.addEventListener('click', event => {
  const frame = event.target.closest('.frame');
  if (!frame) return;
  const box = frame.getBoundingClientRect();
  trigger('click', {x: (event.clientX - box.left) / box.width,
                    y: (event.clientY - box.top) / box.height});
});
"""
OPACITY = """
value => document.documentElement.style.setProperty('--map-opacity', value)
"""
# Takes a file's name and content and hands it to the browser.
DOWNLOAD = """
(file) => {
  if (!file) return;
  const {name, address} = JSON.parse(file);
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
}
"""

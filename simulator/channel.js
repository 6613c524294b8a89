"use strict";
// Draws the cards of the page's data block. TextBlocks get the part of Markdown that Teams knows; TextRuns get none.

const escapes = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escape = (text) => text.replace(/[&<>"']/g, (letter) => escapes[letter]);

// https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format#format-cards-with-markdown
function markdown(text, mentions) {
  let html = escape(text)
    .replace(/\[([^\]]*)\]\((https?:[^)\s]+)\)/g, '<a href="$2" rel="noopener noreferrer" target="_blank">$1</a>')
    .replace(/\*\*([^*]+)\*\*/g, "<strong>$1</strong>")
    .replace(/(^|[\s(])_([^_]+)_(?=$|[\s).,:;])/g, "$1<em>$2</em>")
    .replace(/^[-*] (.*)$/gm, "<span>&bull; $1</span>")
    .replace(/\r?\n/g, "<br>");
  for (const mention of mentions) {
    const name = mention.text.replace(/^<at>|<\/at>$/g, "");
    html = html.split(escape(mention.text)).join('<span class="mention">' + escape(name) + "</span>");
  }
  return html;
}

const family = '"Segoe UI", -apple-system, "Helvetica Neue", Arial, sans-serif';
const sizes = { small: 12, default: 14, medium: 14, large: 18, extraLarge: 24 };
const weights = { lighter: 300, default: 400, bolder: 600 };
const config = new AdaptiveCards.HostConfig({
  fontTypes: {
    default: { fontFamily: family, fontSizes: sizes, fontWeights: weights },
    monospace: { fontFamily: "Consolas, Menlo, monospace", fontSizes: sizes, fontWeights: weights },
  },
  spacing: { small: 8, default: 12, medium: 12, large: 16, extraLarge: 20, padding: 16 },
  separator: { lineThickness: 1, lineColor: "#e0e0e0" },
  supportsInteractivity: true,
  actions: { maxActions: 6, buttonSpacing: 8, actionsOrientation: "horizontal", actionAlignment: "left" },
  containerStyles: Object.fromEntries(
    [["default", "#ffffff"], ["emphasis", "#f5f5f5"], ["accent", "#e8ebfa"], ["good", "#e7f2da"], ["attention", "#fcf4f6"], ["warning", "#fff9f5"]].map(
      ([style, backgroundColor]) => [style, { backgroundColor, foregroundColors: colours() }],
    ),
  ),
});

function colours() {
  const pairs = { default: ["#242424", "#616161"], dark: ["#242424", "#616161"], light: ["#ffffff", "#f5f5f5"], accent: ["#444791", "#4f52b2"], good: ["#107c10", "#237b4b"], warning: ["#8a5100", "#835b00"], attention: ["#a4262c", "#c4314b"] };
  return Object.fromEntries(Object.entries(pairs).map(([name, [strong, subtle]]) => [name, { default: strong, subtle }]));
}

function draw(post) {
  const article = document.createElement("article");
  const header = document.createElement("header");
  for (const [tag, text] of [["b", "Workflows"], ["span", "#" + post.channel], ["time", post.at]]) {
    const part = document.createElement(tag);
    part.textContent = text;
    header.append(part);
  }
  const frame = document.createElement("div");
  frame.className = "card";
  article.append(header, frame);
  try {
    const mentions = ((post.card.msteams || {}).entities || []).filter((entity) => entity.type === "mention");
    AdaptiveCards.AdaptiveCard.onProcessMarkdown = (text, result) => {
      result.outputHtml = markdown(text, mentions);
      result.didProcess = true;
    };
    const card = new AdaptiveCards.AdaptiveCard();
    card.hostConfig = config;
    card.onExecuteAction = (action) => {
      if (action instanceof AdaptiveCards.OpenUrlAction && /^https:/.test(action.url)) {
        window.open(action.url, "_blank", "noopener,noreferrer");
      }
    };
    card.parse(post.card);
    frame.append(card.render());
  } catch (error) {
    frame.className = "card broken";
    frame.textContent = "This card cannot be drawn: " + error;
  }
  return article;
}

document.getElementById("posts").append(...JSON.parse(document.getElementById("cards").textContent).map(draw));
document.documentElement.dataset.drawn = "yes";
document.documentElement.dataset.height = Math.ceil(document.body.getBoundingClientRect().height);

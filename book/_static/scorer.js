// How search results are ranked: pages named by the question first, what Sphinx counts as a hit next. A var, since
// Sphinx declares its own if there is none.
var Scorer = {
  // result: [page, title, anchor, description, score, file]
  score: ([page, title, , description, score]) => {
    const question = new URLSearchParams(window.location.search).get("q") ?? "";
    const named = title.toLowerCase().split(/[:：]/)[0];
    const words = question.toLowerCase().match(/[\p{L}\p{N}_.]+/gu) ?? [];
    const inName = words.filter((word) => named.includes(word)).length;
    // A chapter before what quotes it, and of two the one with the plainer address.
    const aside = /^book\/(api\/|log$|changelog$|about$|reproduce$)/.test(page) || description !== null;
    // Sphinx gives an entry of the index that is the question up to 100.
    return Math.min(score, 15) + 10 * inName - (aside ? 12 : 0) + 5 / page.length;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
// The summaries are read from the pages, which a browser refuses in a folder.
if (window.location.protocol === "file:" && window.DOCUMENTATION_OPTIONS) {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

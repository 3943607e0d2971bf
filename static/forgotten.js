/* Whether a text speaks of a file that travels along, in the languages that mail can be written in. */

const WORDS = new RegExp(
  "(?<![\\p{L}])(?:" +
    [
      "attached", "attachments?", "attaching", "enclosed", "i attach", "see attach\\w*",
      "angehängt\\p{L}*", "anhang", "anhängen", "im anhang", "anbei", "beigefügt\\p{L}*", "beiliegend\\p{L}*", "in der anlage",
      "ci-joints?", "ci-jointes?", "pièces? jointes?", "en pièce jointe", "je joins",
      "adjunt\\p{L}*", "allegat[oiae]", "in allegato", "bijlagen?", "bijgevoegd\\p{L}*", "bijgesloten",
      "em anexo", "anexad[oa]s?", "anexos?", "bifogad\\p{L}*", "bilagor?", "bilag\\p{L}*", "vedhæftet", "vedhæftede", "vedlagt\\p{L}*", "vedlegg\\p{L}*",
      "w załączniku", "załączam\\p{L}*", "załącznik\\p{L}*", "v příloze", "přiložen\\p{L}*", "příloh\\p{L}*", "prílohe", "priložen\\p{L}*",
      "liitteenä", "oheisena", "liite", "csatol\\p{L}*", "mellékel\\p{L}*", "atașat\\p{L}*", "во вложении", "прикрепл\\p{L}*", "прилага\\p{L}*", "у вкладенні",
      "ekte", "ekli", "συνημμέν\\p{L}*", "添付", "附件", "첨부",
    ].join("|") +
    ")(?![\\p{L}])",
  "iu",
);
const JOINED = /添付|附件|첨부/u; // written without spaces around

/** The word that promises a file, or "". Lines that quote somebody else promise nothing. */
export function promised(text) {
  const own = text.split("\n").filter((line) => !line.startsWith(">")).join("\n");
  return (own.match(WORDS) ?? own.match(JOINED))?.[0] ?? "";
}

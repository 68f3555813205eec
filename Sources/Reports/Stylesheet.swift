/// The colours and rules of drawings and pages.
enum Stylesheet {
  /// The variables, light and dark.
  static func colours(on selector: String) -> String {
    """
    \(selector){color-scheme:light dark;--surface:#fcfcfb;--page:#f3f2ef;--ink:#161613;\
    --muted:#55544e;--line:#d9d8d2;--one:#1f66c1;--two:#b8500f;--three:#0c7a5b;--four:#8a3fa8;\
    --five:#8a6a00;--six:#c0267e;--good:#0b6b36;--bad:#b3261e}
    @media(prefers-color-scheme:dark){\(selector){--surface:#1c1c1a;--page:#121211;--ink:#f1f0ea;\
    --muted:#c2c0b7;--line:#3d3c38;--one:#6aa9f7;--two:#f0925a;--three:#4cc59c;--four:#cf95ea;\
    --five:#d9b84a;--six:#f58bc4;--good:#6fd196;--bad:#ff8a80}}

    """
  }

  /// The rules of drawings; every word has the same size.
  static let drawing = """
    .figure{font:12px system-ui,sans-serif}
    .figure .surface{fill:var(--surface)}
    .figure text{fill:var(--muted)}
    .figure .name{fill:var(--ink);font-weight:600}
    .figure .beside{fill:var(--ink);stroke:var(--surface);stroke-width:3px;paint-order:stroke;stroke-linejoin:round}
    .figure .grid{stroke:var(--line);stroke-width:1;fill:none}
    .figure .axis,.figure .tick{stroke:var(--muted);stroke-width:1;fill:none}
    .figure .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
    .figure .one{stroke:var(--one)}.figure .two{stroke:var(--two)}.figure .three{stroke:var(--three)}
    .figure .dashed{stroke-dasharray:6 4}
    .figure .line.wide{stroke-width:7;stroke-opacity:.45}
    .figure .limit{stroke:var(--bad);stroke-dasharray:5 4}
    .figure .mark{stroke:var(--muted);stroke-dasharray:2 4}
    .figure .band{fill:var(--one);fill-opacity:.22}
    .figure .dot.one,.figure .bar,.figure .cell{fill:var(--one)}
    .figure .dot.two,.figure .cell.below{fill:var(--two)}
    .figure .dot.three{fill:var(--three)}.figure .dot.four{fill:var(--four)}
    .figure .dot.five{fill:var(--five)}.figure .dot.six{fill:var(--six)}
    .figure .dot{stroke:var(--surface);stroke-width:1.5}
    .figure .dot.wide{stroke:none;fill-opacity:.55}
    .figure .cell.within{fill:var(--good)}.figure .cell.over{fill:var(--bad)}
    .figure .nothing{fill:none;stroke:var(--bad);stroke-dasharray:2 2}
    .figure .frame{fill:none;stroke:var(--ink);stroke-width:1.5}
    .figure .track{fill:none;stroke:var(--line);stroke-width:1.5}

    """

  /// The rules of pages; on a narrow screen there is one column, and the rows of wide tables become
  /// blocks, so that nothing has to be scrolled to be seen.
  static let page = """
    *{box-sizing:border-box}
    body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
    main{max-width:72rem;margin:0 auto;padding:1rem}
    h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem}
    h1,h2,h3,summary,p,figcaption{overflow-wrap:anywhere}
    h3{font-size:1rem;margin:1.25rem 0 .25rem}
    p.note{color:var(--muted);margin:.25rem 0}
    .verdict{font-weight:600}.good{color:var(--good)}.bad{color:var(--bad)}
    section,main>.scroll,main>.fold{background:var(--surface);border:1px solid var(--line);border-radius:8px}
    section,main>.fold{padding:.75rem 1rem;margin:1rem 0}section>h2{margin-top:.25rem}
    main>.fold+.fold{margin-top:-.5rem}
    .fold>summary{cursor:pointer}.fold>summary h2{display:inline;margin:0}
    .fold>summary .more{color:var(--muted);font-size:.9rem}
    .fold .fold,section>.fold{border-top:1px solid var(--line);padding:.5rem 0}
    .fold .fold>summary{font-weight:600}
    .scroll{overflow-x:auto;margin:.5rem 0}
    table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.9rem}
    caption{text-align:left;color:var(--muted);padding:.5rem 0}main>.scroll caption{padding:.5rem .75rem}
    th,td{padding:.3rem .5rem;text-align:left;border-top:1px solid var(--line);vertical-align:top}
    th{font-weight:600}thead th{color:var(--muted)}td.number,th.number{text-align:right}
    td,thead th{white-space:nowrap}td.long{white-space:normal;overflow-wrap:anywhere}
    tbody th{font-weight:400;font-family:ui-monospace,monospace;font-size:.85rem;overflow-wrap:break-word}
    .meter{display:inline-block;width:3rem;height:.6rem;background:var(--line);\
    border-radius:3px;overflow:hidden;vertical-align:middle}
    .meter i{display:block;height:100%;background:var(--one)}.meter.over i{background:var(--bad)}
    .figures{display:grid;grid-template-columns:repeat(auto-fill,344px);gap:1rem;margin:.5rem 0}
    figure{margin:0;max-width:344px}figure.double{grid-column:span 2;max-width:704px}
    figure svg{max-width:100%;height:auto;display:block}figure.double .if-narrow{display:none}
    figcaption{color:var(--muted);font-size:.85rem;padding:.25rem 0}
    blockquote{margin:.75rem 0;padding:0 0 0 .75rem;border-left:3px solid var(--line)}
    blockquote pre{margin:.25rem 0;white-space:pre-wrap;overflow-wrap:anywhere;font:.85rem/1.5 ui-monospace,monospace}
    a{color:var(--one)}a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:3px solid var(--two);outline-offset:2px}
    @media(max-width:50rem){figure.double{grid-column:auto;max-width:344px}
    figure.double .if-wide{display:none}figure.double .if-narrow{display:block}}
    @media(max-width:40rem){main{padding:.5rem}section,main>.fold{padding:.5rem}th,td{padding:.3rem}
    h1{font-size:1.25rem}h2{font-size:1.1rem}tbody th{overflow-wrap:anywhere;min-width:6rem}
    .figures{grid-template-columns:minmax(0,344px)}}
    @media(max-width:64rem){.blocks thead{display:none}.blocks tr{display:block;padding:.4rem 0;border-top:1px solid var(--line)}
    .blocks th,.blocks td{display:inline-block;border:0;padding:.05rem .4rem;white-space:normal;text-align:left}
    .blocks tbody th{display:block;font-weight:600}
    .blocks td::before{content:attr(data-label) " ";color:var(--muted)}.blocks td.plain::before{content:none}
    .blocks td.empty{display:none}}

    """
}

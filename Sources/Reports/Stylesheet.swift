/// The colours and rules of drawings and pages.
enum Stylesheet {
  /// The variables, light and dark.
  static func colours(on selector: String) -> String {
    """
    \(selector){color-scheme:light dark;--surface:#fcfcfb;--page:#f3f2ef;--ink:#161613;\
    --muted:#5c5b55;--line:#d9d8d2;--one:#1f66c1;--two:#b8500f;--three:#0c7a5b;--good:#0b6b36;\
    --bad:#b3261e;--heat:#1f66c1}
    @media(prefers-color-scheme:dark){\(selector){--surface:#1c1c1a;--page:#121211;--ink:#f1f0ea;\
    --muted:#b3b1a8;--line:#3d3c38;--one:#6aa9f7;--two:#f0925a;--three:#4cc59c;--good:#6fd196;\
    --bad:#ff8a80;--heat:#6aa9f7}}

    """
  }

  /// The rules of drawings.
  static let drawing = """
    .figure{font:12px system-ui,sans-serif}
    .figure .surface{fill:var(--surface)}
    .figure text{fill:var(--muted)}
    .figure .name{fill:var(--ink);font-weight:600;font-size:13px}
    .figure .grid{stroke:var(--line);stroke-width:1;fill:none}
    .figure .axis{stroke:var(--muted);stroke-width:1;fill:none}
    .figure .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
    .figure .one{stroke:var(--one)}.figure .two{stroke:var(--two)}.figure .three{stroke:var(--three)}
    .figure .limit{stroke:var(--bad);stroke-dasharray:5 4}
    .figure .dot.one,.figure .bar{fill:var(--one)}.figure .dot.two{fill:var(--two)}
    .figure .dot.three{fill:var(--three)}
    .figure .dot{stroke:var(--surface);stroke-width:1.5}
    .figure .cell{fill:var(--heat)}
    .figure .track{fill:none;stroke:var(--line);stroke-width:1.5}

    """

  /// The rules of pages; narrow screens get one column, and tables scroll by themselves.
  static let page = """
    *{box-sizing:border-box}
    body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
    main{max-width:72rem;margin:0 auto;padding:1rem}
    h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem}
    h1,h2,h3,summary,p{overflow-wrap:anywhere}
    h3{font-size:1rem;margin:1rem 0 .25rem}
    p.note{color:var(--muted);margin:.25rem 0}
    .verdict{font-weight:600}.good{color:var(--good)}.bad{color:var(--bad)}
    section,.scroll{background:var(--surface);border:1px solid var(--line);border-radius:8px}
    section{padding:.75rem 1rem;margin:1rem 0}section>h2{margin-top:.25rem}
    section .scroll{border:0;border-radius:0}
    .scroll{overflow-x:auto;margin:.5rem 0}
    table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.9rem}
    caption{text-align:left;color:var(--muted);padding:.5rem .75rem}
    th,td{padding:.3rem .75rem;text-align:left;border-top:1px solid var(--line);vertical-align:top}
    th{font-weight:600}thead th{color:var(--muted)}td.number,th.number{text-align:right}
    td,thead th{white-space:nowrap}td.long{white-space:normal;min-width:18rem}
    tbody th{font-weight:400;font-family:ui-monospace,monospace;font-size:.85rem;overflow-wrap:anywhere;min-width:14rem}
    .meter{display:inline-block;width:6rem;max-width:30vw;height:.6rem;background:var(--line);\
    border-radius:3px;overflow:hidden;vertical-align:middle}
    .meter i{display:block;height:100%;background:var(--one)}.meter.over i{background:var(--bad)}
    .figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:1rem}
    figure{margin:0}figure svg{width:100%;height:auto;display:block}
    figcaption{color:var(--muted);font-size:.85rem;padding:.25rem 0}
    a{color:var(--one)}a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:3px solid var(--two);outline-offset:2px}
    summary{cursor:pointer;font-weight:600}
    @media(max-width:40rem){main{padding:.5rem}section{padding:.5rem}th,td{padding:.3rem .4rem}\
    tbody th{min-width:8.5rem}td.long{min-width:12rem}}

    """
}

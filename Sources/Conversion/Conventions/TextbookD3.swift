// D3 and D4 (TimeRNN): h = tanh(h Wh + x Wx + b).
//   Wx (D, H), Wh (H, H), b (H)
extension Convention {
  /// The names and shapes of documents D3 and D4: row vectors, one bias, no output layer.
  public static let textbookD3 = Convention(
    textbook: TextbookNames(
      convention: "textbook-d3", input: "Wx", recurrent: "Wh", bias: "b", head: nil,
      rowVectors: true, biasAsRow: false),
    summary: "documents D3 and D4 (Wx, Wh, b; row vectors)")
}

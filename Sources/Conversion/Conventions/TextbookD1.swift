// D1 (vanilla RNN): h = tanh(x Wxh + h Whh + bh), y = h Why + by.
//   Wxh (D, H), Whh (H, H), Why (H, C), bh (1, H), by (1, C)
extension Convention {
  /// The names and shapes of document D1: row vectors, one bias.
  public static let textbookD1 = Convention(
    textbook: TextbookNames(
      convention: "textbook-d1", input: "Wxh", recurrent: "Whh", bias: "bh",
      head: ("Why", "by"), rowVectors: true, biasAsRow: true),
    summary: "document D1 (Wxh, Whh, Why, bh, by; row vectors)")
}

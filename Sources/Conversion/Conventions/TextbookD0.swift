// D0 (training and BPTT): h = a Wahᵀ + x Wxhᵀ + bh, a = tanh(h), o = a Waoᵀ + bo.
//   Wxh (H, D), Wah (H, H), bh (H), Wao (C, H), bo (C)
extension Convention {
  /// The names and shapes of document D0: column form, one bias.
  public static let textbookD0 = Convention(
    textbook: TextbookNames(
      convention: "textbook-d0", input: "Wxh", recurrent: "Wah", bias: "bh",
      head: ("Wao", "bo"), rowVectors: false, biasAsRow: false),
    summary: "document D0 (Wxh, Wah, bh, Wao, bo)")
}

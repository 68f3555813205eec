import RNNEngine
import Tensors
import TestSupport
import Testing

/// Every extent is another one.
@Suite("Arrays do what NumPy's do")
struct NDArrayTests {
  let x: NDArray<Double>
  let matrix: NDArray<Double>

  init() throws {
    // (np.arange(24) * 7 % 11 - 5).reshape(2, 3, 4) / 4
    x = try NDArray(
      shape: [2, 3, 4], elements: (0..<24).map { Double($0 * 7 % 11 - 5) / 4 })
    // (np.arange(20) * 3 % 7 - 3).reshape(4, 5) / 2
    matrix = try NDArray(
      shape: [4, 5], elements: (0..<20).map { Double($0 * 3 % 7 - 3) / 2 })
  }

  private func expectNear(
    _ found: NDArray<Double>, _ shape: [Int], _ expected: [Double],
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(found.shape == shape, sourceLocation: sourceLocation)
    #expect(found.count == expected.count, sourceLocation: sourceLocation)
    for (a, b) in zip(found.elements, expected) {
      #expect(abs(a - b) < 1e-14, sourceLocation: sourceLocation)
    }
  }

  @Test func nestedListsAreArrays() throws {
    #expect(NDArray([1, 2, 3]).shape == [3])
    let rows = try NDArray<Float>([[1, 2, 3], [4, 5, 6]])
    #expect(rows.shape == [2, 3] && rows.elements == [1, 2, 3, 4, 5, 6])
    let deep = try NDArray([[[1, 2], [3, 4], [5, 6]]])
    #expect(deep.shape == [1, 3, 2] && deep.elements == [1, 2, 3, 4, 5, 6])
    #expect(reason { _ = try NDArray([[1, 2], [3]]) } == "engine.shape")
    #expect(reason { _ = try NDArray([[[1], [2]], [[3]]]) } == "engine.shape")
    #expect(reason { _ = try NDArray(shape: [2, 2], elements: [1, 2, 3]) } == "engine.shape")
    #expect(NDArray(repeating: 7, shape: [2, 0]).count == 0)
  }

  @Test func subscriptsAreNumPys() throws {
    #expect(x[1, 2, 0] == 0.75)
    #expect(x[[0, 1, 2]] == 1)
    #expect(x[1].elements == [0.5, -0.5, 1.25, 0.25, -0.75, 1, 0, -1, 0.75, -0.25, -1.25, 0.5])
    #expect(x[1].shape == [3, 4])
    #expect(x[-1] == x[1] && x[.all, -1] == x[.all, 2] && x[-2][-3] == x[0][0])
    #expect(x[-1, 2, -4] == 0.75 && x[[-2, -2, -2]] == x[0, 1, 2])
    #expect(NDArray([5, 6, 7])[1] == (try NDArray(shape: [], elements: [6])))
    expectNear(x[1..., ..<2, 1..<4], [1, 2, 3], [-0.5, 1.25, 0.25, 1, 0, -1])
    expectNear(x[.all, 2], [2, 4], [-1, 0.75, -0.25, -1.25, 0.75, -0.25, -1.25, 0.5])
    expectNear(x[1, .all, 3], [3], [0.25, -1, 0.5])
    expectNear(
      x[.all, .all, 0...1], [2, 3, 2],
      [-1.25, 0.5, 0.25, -0.75, -1, 0.75, 0.5, -0.5, -0.75, 1, 0.75, -0.25])
    expectNear(x.slice(axis: -1, 2..<4), [2, 3, 2], x[.all, .all, 2...].elements)
    #expect(x[.all, 1..<1].shape == [2, 0, 4] && x[.all, 1..<1].count == 0)
    let wide = NDArray(repeating: 3, shape: [2, 3, 4, 5])
    #expect(wide[1, .all, 3, ...2].shape == [3, 3] && wide[1, 2, 3, 4] == 3)
  }

  @Test func whatIsSetIsThere() throws {
    var array = NDArray<Double>(zeros: [2, 3, 4])
    for i in 0..<2 { for j in 0..<3 { for k in 0..<4 { array[i, j, k] = x[i, j, k] } } }
    #expect(array == x)
    array[0, .all, 1...2] = try NDArray([[10, 11], [12, 13], [14, 15]])
    #expect(
      array[0].elements == [-1.25, 10, 11, 1.25, 0.25, 12, 13, 0, -1, 14, 15, -1.25])
    #expect(array[1] == x[1])
    array[1] = x[0]
    #expect(array[1] == x[0])
    array[.all, 2] = x[.all, 0]
    #expect(array[.all, 2] == x[.all, 0] && array[1][1] == x[0, 1, .all])
    var vector = NDArray([1, 2, 3])
    vector.elements[2] = 9
    vector[[0]] += 4
    #expect(vector.elements == [5, 2, 9])
    array[[1, 2, 3]] = -8
    array[1, 2, 3] *= 2
    #expect(array[1, 2, 3] == -16)
  }

  @Test func axesMove() throws {
    expectNear(
      x.permuted([2, 0, 1]), [4, 2, 3],
      [
        -1.25, 0.25, -1, 0.5, -0.75, 0.75, 0.5, -0.75, 0.75, -0.5, 1, -0.25, -0.5, 1, -0.25, 1.25,
        0, -1.25, 1.25, 0, -1.25, 0.25, -1, 0.5,
      ])
    expectNear(
      x.transposed(), [4, 3, 2],
      [
        -1.25, 0.5, 0.25, -0.75, -1, 0.75, 0.5, -0.5, -0.75, 1, 0.75, -0.25, -0.5, 1.25, 1, 0,
        -0.25, -1.25, 1.25, 0.25, 0, -1, -1.25, 0.5,
      ])
    #expect(x.permuted([1, 0, 2]) == x.exchangingLeadingAxes())
    #expect(x.exchangingLeadingAxes().exchangingLeadingAxes() == x)
    #expect(try x.reshaped([4, -1]).shape == [4, 6])
    #expect(try x.reshaped([4, -1]).elements == x.elements)
    #expect(reason { _ = try x.reshaped([5, -1]) } == "engine.shape")
    #expect(reason { _ = try x.reshaped([2, 2]) } == "engine.shape")
    do {
      _ = try x.reshaped([5, -1])
    } catch let error as RecurrentError {
      #expect(error.found == "24 elements for shape [5, -1]")
      #expect(error.expected == "a multiple of 5, what the other axes hold")
    }
    #expect(x.insertingAxis(at: -1).shape == [2, 3, 4, 1])
    #expect(try x.insertingAxis(at: 1).removingAxis(at: 1) == x)
    #expect(reason { _ = try x.removingAxis(at: 1) } == "engine.shape")
    #expect(x.flattened() == NDArray(x.elements))
    #expect(NDArray<Double>(zeros: [0, 3]).transposed().shape == [3, 0])
  }

  @Test func placesAreTakenAndTurned() throws {
    expectNear(
      x.selecting([2, 0, 2], axis: 1), [2, 3, 4],
      [
        -1, 0.75, -0.25, -1.25, -1.25, 0.5, -0.5, 1.25, -1, 0.75, -0.25, -1.25, 0.75, -0.25, -1.25,
        0.5, 0.5, -0.5, 1.25, 0.25, 0.75, -0.25, -1.25, 0.5,
      ])
    expectNear(
      x.reversed(axis: 1), [2, 3, 4],
      [
        -1, 0.75, -0.25, -1.25, 0.25, -0.75, 1, 0, -1.25, 0.5, -0.5, 1.25, 0.75, -0.25, -1.25, 0.5,
        -0.75, 1, 0, -1, 0.5, -0.5, 1.25, 0.25,
      ])
    let steps = x.unstacked(axis: 1)
    #expect(steps.map(\.shape) == [[2, 4], [2, 4], [2, 4]])
    #expect(try NDArray(stacking: steps, axis: 1) == x)
    #expect(matrix.rows.count == 4 && matrix.rows[2] == matrix[2].elements)
  }

  @Test func arraysAreJoined() throws {
    expectNear(
      try NDArray(concatenating: [x, x[.all, ..<1] * 2], axis: 1), [2, 4, 4],
      [
        -1.25, 0.5, -0.5, 1.25, 0.25, -0.75, 1, 0, -1, 0.75, -0.25, -1.25, -2.5, 1, -1, 2.5, 0.5,
        -0.5, 1.25, 0.25, -0.75, 1, 0, -1, 0.75, -0.25, -1.25, 0.5, 1, -1, 2.5, 0.5,
      ])
    expectNear(
      try NDArray(stacking: [x[0], x[1]], axis: -1), [3, 4, 2],
      [
        -1.25, 0.5, 0.5, -0.5, -0.5, 1.25, 1.25, 0.25, 0.25, -0.75, -0.75, 1, 1, 0, 0, -1, -1,
        0.75, 0.75, -0.25, -0.25, -1.25, -1.25, 0.5,
      ])
    #expect(reason { _ = try NDArray(concatenating: [x, matrix]) } == "engine.shape")
    #expect(reason { _ = try NDArray(concatenating: [x, x[.all, 1...]]) } == "engine.shape")
    #expect(reason { _ = try NDArray(stacking: [x[0], matrix]) } == "engine.shape")
    #expect(reason { _ = try NDArray<Double>(stacking: []) } == "engine.shape")
  }

  @Test func shapesBroadcast() throws {
    let vector = NDArray([1, -2, 0.5, 3])
    let column = try NDArray<Double>([[10], [20], [30]])
    expectNear(
      try x + vector, [2, 3, 4],
      [
        -0.25, -1.5, 0, 4.25, 1.25, -2.75, 1.5, 3, 0, -1.25, 0.25, 1.75, 1.5, -2.5, 1.75, 3.25,
        0.25, -1, 0.5, 2, 1.75, -2.25, -0.75, 3.5,
      ])
    expectNear(
      try x * column, [2, 3, 4],
      [
        -12.5, 5, -5, 12.5, 5, -15, 20, 0, -30, 22.5, -7.5, -37.5, 5, -5, 12.5, 2.5, -15, 20, 0,
        -20, 22.5, -7.5, -37.5, 15,
      ])
    expectNear(
      try vector - column, [3, 4],
      [-9, -12, -9.5, -7, -19, -22, -19.5, -17, -29, -32, -29.5, -27])
    expectNear(
      try (x / column)[1], [3, 4],
      [
        0.05, -0.05, 0.125, 0.025, -0.0375, 0.05, 0, -0.05, 0.025, -0.008333333333333333,
        -0.041666666666666664, 0.016666666666666666,
      ])
    #expect(reason { _ = try x + matrix } == "engine.shape")
    #expect(reason { _ = try vector * NDArray([1.0, 2, 3]) } == "engine.shape")
    var sum = x
    try sum += vector
    #expect(sum == (try x + vector))
    // The result would not fit into what it replaces.
    var narrow = vector
    #expect(reason { try narrow += column } == "engine.shape")
    #expect(narrow == vector)
  }

  @Test func numbersApplyToEveryElement() throws {
    let v = NDArray([1.0, -2, 4])
    #expect((v * 2).elements == [2, -4, 8] && (2 * v).elements == [2, -4, 8])
    #expect((v + 1).elements == [2, -1, 5] && (1 + v).elements == [2, -1, 5])
    #expect((v - 1).elements == [0, -3, 3] && (1 - v).elements == [0, 3, -3])
    #expect((v / 2).elements == [0.5, -1, 2] && (2 / v).elements == [2, -1, 0.5])
    #expect((-v).elements == [-1, 2, -4])
    var w = v
    w += 1
    w *= 4
    w -= 4
    w /= 2
    #expect(w.elements == [2, -4, 8])
    #expect(v.map { Int($0) } == NDArray([1, -2, 4]))
    let ids = NDArray([3, 1, 2])
    #expect(try (ids * 2 + ids).elements == [9, 3, 6] && ids.sum() == 6)
  }

  @Test func reductionsAreNumPys() throws {
    #expect(x.sum() == -0.75 && x.mean() == -0.03125)
    #expect(try x.max() == 1.25 && x.min() == -1.25 && x.argmax() == 3)
    expectNear(
      x.sum(axis: 0), [3, 4], [-0.75, 0, 0.75, 1.5, -0.5, 0.25, 1, -1, -0.25, 0.5, -1.5, -0.75])
    expectNear(x.sum(axis: 1), [2, 4], [-2, 0.5, 0.25, 0, 0.5, 0.25, 0, -0.25])
    expectNear(x.mean(axis: -1), [2, 3], [0, 0.125, -0.4375, 0.375, -0.1875, -0.0625])
    expectNear(
      try x.max(axis: 0), [3, 4], [0.5, 0.5, 1.25, 1.25, 0.25, 1, 1, 0, 0.75, 0.75, -0.25, 0.5])
    expectNear(try x.min(axis: 1), [2, 4], [-1.25, -0.75, -0.5, -1.25, -0.75, -0.5, -1.25, -1])
    #expect(try x.argmax(axis: 0).elements == [1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1])
    #expect(try x.argmax(axis: 1) == NDArray([[1, 2, 1, 0], [2, 1, 0, 2]]))
    #expect(try x.argmax(axis: -1) == NDArray([[3, 2, 1], [2, 1, 0]]))
    #expect(x.sum(axis: 1, keepingAxis: true).shape == [2, 1, 4])
    #expect(try x.argmax(axis: 2, keepingAxis: true).shape == [2, 3, 1])
    #expect(try NDArray([2, 7, 7, 1]).argmax() == 1)
    // As NumPy's: what is not a number wins, the first of them.
    #expect(try NDArray([1, .nan, 5, .nan]).argmax() == 1)
    #expect(try NDArray([1, .nan, 5]).max().isNaN && NDArray([1, .nan, 5]).min().isNaN)
    let empty = NDArray<Double>(zeros: [3, 0])
    #expect(empty.sum() == 0 && empty.mean().isNaN && empty.sum(axis: 1).elements == [0, 0, 0])
    #expect(reason { _ = try empty.max() } == "engine.shape")
    #expect(reason { _ = try empty.argmax(axis: 1) } == "engine.shape")
    #expect(try empty.max(axis: 0).shape == [0])
  }

  @Test func functionsAreNumPys() throws {
    expectNear(
      x.softmax(axis: 1), [2, 3, 4],
      [
        0.14780404965619495, 0.38902479913658233, 0.14780404965619495, 0.7306791292026887,
        0.6624117938958736, 0.11145747105020276, 0.6624117938958736, 0.20934307548219694,
        0.18978415644793137, 0.499517729813215, 0.18978415644793137, 0.05997779531511428,
        0.38902479913658233, 0.14780404965619495, 0.7306791292026887, 0.38902479913658233,
        0.11145747105020276, 0.6624117938958736, 0.20934307548219694, 0.11145747105020276,
        0.499517729813215, 0.18978415644793137, 0.05997779531511428, 0.499517729813215,
      ])
    expectNear(
      x.softmax()[0, 0], [4],
      [0.04749669465596482, 0.2733246061686422, 0.10055050337572466, 0.5786281957996683])
    expectNear(
      x.logSoftmax()[0, 0], [4],
      [-3.047095156552987, -1.2970951565529873, -2.297095156552987, -0.5470951565529872])
    expectNear(
      x.tanh()[0, 0], [4],
      [-0.8482836399575129, 0.46211715726000974, -0.46211715726000974, 0.8482836399575129])
    expectNear(
      x.sigmoid()[0, 0], [4],
      [0.22270013882530884, 0.6224593312018546, 0.3775406687981454, 0.7772998611746911])
    #expect(x.relu()[0, 0].elements == [0, 0.5, 0, 1.25])
    #expect(NDArray([-1, Double.nan]).relu().elements[1].isNaN)
    // Far beyond what e raised to it could hold.
    #expect(NDArray<Float>([1000, 1000, -1000]).softmax().elements == [0.5, 0.5, 0])
    let logits = NDArray<Float>([1000, 1000, -1000]).logSoftmax().elements
    #expect(abs(logits[0] + 0.6931472) < 1e-6 && logits[2] < -1999)
    expectNear(x.exp().log(), [2, 3, 4], x.elements)
    expectNear((try x * x).squareRoot(), [2, 3, 4], x.elements.map(abs))
  }

  @Test func productsAreNumPys() throws {
    expectNear(
      try x.matmul(matrix), [2, 3, 5],
      [
        1.625, 1.625, -2.75, 1.625, -1, -0.125, 0.625, 0.5, 0.375, -2.375, 0.875, -1.75, -1.75,
        -0.875, 1.75, -0.875, 1.375, 0.125, 0.625, -2.375, 0.125, -1, -2.125, -0.625, 1.75, -0.25,
        -0.625, 2.5, -0.5, 1.75,
      ])
    // (np.arange(16) * 5 % 9 - 4).reshape(2, 4, 2) / 2
    let batch = try NDArray(
      shape: [2, 4, 2], elements: (0..<16).map { Double($0 * 5 % 9 - 4) / 2 })
    expectNear(
      try x.matmul(batch), [2, 3, 2],
      [1.625, 1.625, -0.375, 0.875, 1.75, -2.625, 1.375, -1.625, -1, 0.5, -0.625, -0.125])
    // A row alone has the bits that it has in a batch, and those of the linear layer.
    let linear = try Linear(weight: matrix.transposed())
    #expect(try x.matmul(matrix) == linear(x))
    #expect(try x[1].matmul(matrix) == x.matmul(matrix)[1])
    #expect(reason { _ = try x.matmul(x) } == "engine.shape")
    #expect(reason { _ = try NDArray([1.0, 2]).matmul(matrix) } == "engine.shape")
    #expect(
      try NDArray<Double>(zeros: [3, 0]).matmul(NDArray(zeros: [0, 2])) == NDArray(zeros: [3, 2]))
  }

  @Test func integerArraysAreTokensAndClasses() throws {
    var random = SplitMix64(state: 3)
    let table = try Embedding<Double>(weight: random.array([7, 5]))
    let ids = try NDArray([[6, 0], [2, 2], [3, 1]])
    #expect(try table(ids) == table(ids.elements, shape: [3, 2]))
    #expect(try table(ids)[1][0] == table.weight[2, .all])
    let oneHot = try NDArray<Double>(oneHot: ids, classes: 7)
    #expect(oneHot.shape == [3, 2, 7])
    #expect(try oneHot.argmax(axis: -1) == ids)
    #expect(reason { _ = try NDArray<Float>(oneHot: ids, classes: 6) } == "engine.target-range")
    let logits: NDArray<Double> = random.array([3, 2, 7])
    let loss = try Loss.crossEntropy().evaluate(logits: logits, targets: .classes(ids))
    // The mean of -log p of each class.
    let direct = try -(logits.logSoftmax() * oneHot).sum() / 6
    #expect(abs(loss.value - direct) < 1e-14)
  }

  @Test func printsAsNumPy() throws {
    for (found, expected) in [
      ("\(try NDArray([[1, 2, 3], [40, 5, -6]]))", "[[ 1  2  3]\n [40  5 -6]]"),
      ("\(NDArray([0.1, 0.25, 3]))", "[0.1  0.25 3.  ]"),
      ("\(NDArray([1e-5, 1, 250]))", "[1.0e-05 1.0e+00 2.5e+02]"),
      ("\(NDArray([Double.nan, 1.5, -.infinity]))", "[ nan  1.5 -inf]"),
      ("\(NDArray([Float(0.1), 1 / 3]))", "[0.1        0.33333334]"),
      ("\(NDArray([1e9, 2.5e9]))", "[1.0e+09 2.5e+09]"),
      ("\(NDArray([0.0, 0]))", "[0. 0.]"),
      ("\(try NDArray<Float>([[1, -2], [0.5, 100]]))", "[[  1.   -2. ]\n [  0.5 100. ]]"),
      ("\(NDArray([-1.5e-7, 3.25]))", "[-1.50e-07  3.25e+00]"),
      ("\(NDArray([123456.789, 0.5]))", "[1.23456789e+05 5.00000000e-01]"),
      ("\(NDArray([1e100, 1]))", "[1.e+100 1.e+000]"),
      ("\(NDArray([1e-5]))", "[1.e-05]"),
      ("\(NDArray<Double>(zeros: [2, 0]))", "[]"),
      ("\(try NDArray(shape: [], elements: [2.5]))", "2.5"),
    ] {
      #expect(found == expected)
    }
    let cube = try NDArray((0..<24).map { $0 }).reshaped([2, 3, 4])
    #expect(
      "\(cube)" == """
        [[[ 0  1  2  3]
          [ 4  5  6  7]
          [ 8  9 10 11]]

         [[12 13 14 15]
          [16 17 18 19]
          [20 21 22 23]]]
        """)
    #expect(
      "\(NDArray((0..<30).map { Double($0) / 7 }))" == """
        [0.         0.14285714 0.28571429 0.42857143 0.57142857 0.71428571
         0.85714286 1.         1.14285714 1.28571429 1.42857143 1.57142857
         1.71428571 1.85714286 2.         2.14285714 2.28571429 2.42857143
         2.57142857 2.71428571 2.85714286 3.         3.14285714 3.28571429
         3.42857143 3.57142857 3.71428571 3.85714286 4.         4.14285714]
        """)
    #expect(
      "\(try NDArray((0..<40).map { $0 * 100 }).reshaped([1, 40]))" == """
        [[   0  100  200  300  400  500  600  700  800  900 1000 1100 1200 1300
          1400 1500 1600 1700 1800 1900 2000 2100 2200 2300 2400 2500 2600 2700
          2800 2900 3000 3100 3200 3300 3400 3500 3600 3700 3800 3900]]
        """)
    #expect(
      "\(try NDArray((0..<1200).map { $0 }).reshaped([2, 3, 200]))" == """
        [[[   0    1    2 ...  197  198  199]
          [ 200  201  202 ...  397  398  399]
          [ 400  401  402 ...  597  598  599]]

         [[ 600  601  602 ...  797  798  799]
          [ 800  801  802 ...  997  998  999]
          [1000 1001 1002 ... 1197 1198 1199]]]
        """)
    #expect(
      "\(NDArray((0..<2000).map { Double($0) / 3 }))" == """
        [0.00000000e+00 3.33333333e-01 6.66666667e-01 ... 6.65666667e+02
         6.66000000e+02 6.66333333e+02]
        """)
  }
}

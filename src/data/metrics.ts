/** How well predicted classes match the true ones: accuracy, F1 by class, confusion. */
import { ShapeError } from "../base/errors.ts";

/** Class indices, one per example. */
type Classes = ArrayLike<number>;

/** Share of equal entries, 0..1; 0 for no examples. Throws ShapeError on unequal lengths. */
export function accuracy(truth: Classes, predicted: Classes): number {
  checkLengths("accuracy", truth, predicted);
  let numCorrect = 0;
  for (let i = 0; i < truth.length; i++) if (truth[i] === predicted[i]) numCorrect++;
  return truth.length === 0 ? 0 : numCorrect / truth.length;
}

/** Counts [true class, predicted class], row-major over `numClasses` squared. Throws ShapeError. */
export function confusionMatrix(
  truth: Classes,
  predicted: Classes,
  numClasses: number,
): Uint32Array {
  checkLengths("confusionMatrix", truth, predicted);
  const counts = new Uint32Array(numClasses * numClasses);
  for (let i = 0; i < truth.length; i++) {
    const row = checkedClass(truth[i] as number, numClasses);
    const column = checkedClass(predicted[i] as number, numClasses);
    counts[row * numClasses + column] = (counts[row * numClasses + column] as number) + 1;
  }
  return counts;
}

/** F1 of each class, 2 TP / (2 TP + FP + FN); NaN for a class that neither occurs nor is predicted. */
export function f1ByClass(truth: Classes, predicted: Classes, numClasses: number): Float64Array {
  const counts = confusionMatrix(truth, predicted, numClasses);
  const scores = new Float64Array(numClasses);
  for (let c = 0; c < numClasses; c++) {
    let numTrue = 0;
    let numPredicted = 0;
    for (let other = 0; other < numClasses; other++) {
      numTrue += counts[c * numClasses + other] as number;
      numPredicted += counts[other * numClasses + c] as number;
    }
    scores[c] = (2 * (counts[c * numClasses + c] as number)) / (numTrue + numPredicted);
  }
  return scores;
}

/** Mean F1 over the classes that occur or are predicted; 0 for no examples. */
export function macroF1(truth: Classes, predicted: Classes, numClasses: number): number {
  const scores = f1ByClass(truth, predicted, numClasses).filter((score) => !Number.isNaN(score));
  return scores.length === 0 ? 0 : scores.reduce((sum, score) => sum + score, 0) / scores.length;
}

function checkLengths(what: string, truth: Classes, predicted: Classes): void {
  if (truth.length === predicted.length) return;
  throw new ShapeError(what, {
    expected: `${truth.length} predictions, one per true class`,
    got: `${predicted.length}`,
  });
}

function checkedClass(index: number, numClasses: number): number {
  if (Number.isInteger(index) && index >= 0 && index < numClasses) return index;
  throw new ShapeError("class index", {
    expected: `an integer from 0 to ${numClasses - 1}`,
    got: `${index}`,
  });
}

/** Imported first: this process is to be what a device agent is, with its settings of the heap. */
import { keepHeapSmall } from "../../src/cli/small-heap.ts";

keepHeapSmall();

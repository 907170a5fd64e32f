/** What is used of a package that publishes no types. */
declare module "aedes-persistence-redis/asyncPersistence.js" {
  interface Options {
    /** An ioredis connection. */
    readonly conn: object;
    /** Seconds that a queued message is kept. */
    readonly packetTTL: () => number;
    /** Messages that a returning session is given at most. */
    readonly maxSessionDelivery: number;
  }
  class RedisPersistence {
    constructor(options: Options);
    createRetainedStreamCombi(filters: readonly string[]): AsyncIterable<object>;
  }
  export default RedisPersistence;
}

// The form of objects.update that takes a function. Code cannot run inside a transaction, so it is a loop of recorded
// calls: read, decide, write if nobody else wrote meanwhile. It belongs to prelude 1 and is as immutable.
(function (get, put, attempts) {
'use strict';
return async (collection, key, change) => {
  for (let attempt = 1; ; attempt++) {
    const now = await get(collection, key);
    const value = await change(now === null ? undefined : now.value);
    if (value === undefined) throw new TypeError('objects.update: the function returned undefined; return the new value, or throw to leave it as it is');
    try {
      const { version, updatedAt } = await put(collection, key, value, { version: now === null ? 0 : now.version });
      return { key, value, version, updatedAt };
    } catch (e) {
      if (attempt >= attempts || e === null || typeof e !== 'object' || e.code !== 'conflict') throw e;
    }
  }
};
})

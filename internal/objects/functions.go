package objects

// Function is one function of the global, as models see it.
type Function struct {
	Name, Signature, Doc string
	// Wait: the call may stay open while the job sleeps.
	Wait bool
}

// Functions lists what code may call.
func Functions() []Function {
	const object = "{key: string, value: any, version: number, updatedAt: string}"
	return []Function{
		{Name: Get, Signature: "objects.get(collection: string, key: string): Promise<" + object + " | null>",
			Doc: "Reads an object that the jobs at this prefix share; null when there is none."},
		{Name: List, Signature: "objects.list(collection: string, options?: {prefix?: string, after?: string, limit?: number}): Promise<{objects: " + object + "[], next: string | null}>",
			Doc: "Lists objects by key: those whose key begins with prefix and comes after `after`, 50 unless limit says less or more (at most 200).\n" +
				"A page may be shorter when values are large; pass next as `after` until it is null."},
		{Name: Put, Signature: "objects.put(collection: string, key: string, value: any, options?: {version?: number | null}): Promise<{key: string, version: number, updatedAt: string}>",
			Doc: "Writes an object. With version it must be at that version now, 0 or null: it must not exist; else the call rejects with a ConflictError,\n" +
				"whose version is the current one. Without version it is overwritten."},
		{Name: Update, Signature: "objects.update(collection: string, key: string, change: object | ((value: any) => any), options?: {version?: number | null}): Promise<" + object + ">",
			Doc: "Changes an object and returns it. An object as change is a JSON merge patch: its members replace those of the value, null removes one.\n" +
				"A function gets the value (undefined when there is none) and returns the new one; when somebody else wrote meanwhile it is called again, up to ten times."},
		{Name: Delete, Signature: "objects.delete(collection: string, key: string, options?: {version?: number}): Promise<{key: string, version: number, updatedAt: string} | null>",
			Doc: "Deletes an object; null when there was none. Versions go on from there when it is made again."},
		{Name: Changed, Wait: true, Signature: "objects.changed(collection: string, key?: string, options?: {since?: number | string, timeout?: number | string}): Promise<any>",
			Doc: "Waits for a change. With a key: until the object's version is above since (else: above the current one); returns the object, with value null and\n" +
				"deleted true when it was deleted. Without a key: until anything in the collection has changed since `since` of the last result (else: from now on);\n" +
				"returns {changed: [{key, version, deleted}…], more, since} with at most 100 of them."},
	}
}

// Known reports whether a name is one of the functions.
func Known(name string) bool {
	switch name {
	case Get, List, Put, Update, Delete, Changed:
		return true
	default:
		return false
	}
}

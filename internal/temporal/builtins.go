package temporal

// BuiltInWait is a wait that needs no definition, as models see it.
type BuiltInWait struct{ Name, Signature, Doc string }

// BuiltIns lists the waits that need no definition.
func BuiltIns() []BuiltInWait {
	return []BuiltInWait{
		{string(Sleep), "function sleep(duration: number | string): Promise<null>",
			"Waits: milliseconds, or a text such as '1.5s', '2m', '3d'. A waiting job costs nothing."},
		{string(Until), "function until(time: Date | string | number): Promise<null>",
			"Waits until a time: a Date, an ISO text, or milliseconds since 1970."},
		{string(Event), "function event(name: string, options?: {key?: string, since?: Date | string, timeout?: number | string}): Promise<any>",
			"Waits for an event and returns its payload. Each job gets an event once, oldest first, from its own creation on."},
		{string(Message), "function message(options?: {timeout?: number | string}): Promise<any>",
			"Waits for the next message to this job and returns it."},
		{string(Approval), "function approval(request: {title: string, options?: (string | {value: string, label?: string, description?: string})[], " +
			"freeText?: boolean, args?: any, schema?: object, data?: any, assignee?: string, timeout?: number | string}): " +
			"Promise<{option?: string, text?: string, args?: any, comment?: string, by: string, at: string}>",
			"Asks a person and waits for the answer. Without options the choice is 'approve' or 'reject'. args are proposed arguments that the person " +
				"may change within schema; use the args of the answer."},
		{string(Job), "function job(id: string, options?: {timeout?: number | string}): Promise<{id: string, outcome: string, result: any, error: string | null}>",
			"Waits until another job has ended, and returns how: outcome is 'succeeded', 'failed' or 'cancelled'."},
	}
}

// Texts that programs print.

/** The last line that says something; '' when none does. */
export const lastLineOf = (text: string): string => text.trim().split('\n').at(-1) ?? ''

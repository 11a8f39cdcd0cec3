// What the intranet is for.
export const checks = [{ name: 'the page loads', run: async () => 'it does' }]

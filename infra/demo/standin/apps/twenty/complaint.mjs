/** What GraphQL answers with status 200 and a list of errors. */
export class Complaint extends Error {
  /** @param {string} message @param {string} code */
  constructor(message, code) {
    super(message)
    this.code = code
  }
}

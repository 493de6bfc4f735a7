"""Code that issues tokens: clients, grants, keys, sessions, consents, and the endpoints.

No HTML and no framework: an endpoint takes an `HttpRequest` and gives an `HttpResponse`, or says
what a person has to be asked. The pages for people are `mintmark.pages`; databases are
`mintmark.storage`; `mintmark.app` puts a server together.
"""

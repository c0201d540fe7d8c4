"""Error measures of predicted people: `person_errors` has all of a person, the others those of the field's tables."""

"""Avatars of predicted people: their looks from the photo, in poses that the photo does not show."""
